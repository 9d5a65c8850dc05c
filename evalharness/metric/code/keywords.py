"""The keywords of the languages, which CodeBLEU counts five times as much as other words.

Sources: C17 (ISO/IEC 9899:2018) 6.4.1; C++20 (ISO/IEC 14882:2020) lex.key, with its alternative operators; the C# reference,
keywords and contextual keywords; the Go specification, Keywords; the Java Language Specification 17, 3.9, reserved keywords;
ECMAScript 2024, reserved words, also those of strict mode; the PHP manual, list of keywords; the Python reference 2.3.1 and
2.3.2, without the soft keyword `_`; the Ruby documentation, Keywords; the Rust reference, Keywords.
"""

from __future__ import annotations

from evalharness.metric.code.languages import LanguageName

_C = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while _Alignas _Alignof
_Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local
"""

_CPP = """
alignas alignof asm auto bool break case catch char char8_t char16_t char32_t class concept const consteval constexpr
constinit const_cast continue co_await co_return co_yield decltype default delete do double dynamic_cast else enum
explicit export extern false float for friend goto if inline int long mutable namespace new noexcept nullptr operator
private protected public register reinterpret_cast requires return short signed sizeof static static_assert static_cast
struct switch template this thread_local throw true try typedef typeid typename union unsigned using virtual void
volatile wchar_t while and and_eq bitand bitor compl not not_eq or or_eq xor xor_eq
"""

_CSHARP = """
abstract as base bool break byte case catch char checked class const continue decimal default delegate do double else
enum event explicit extern false finally fixed float for foreach goto if implicit in int interface internal is lock long
namespace new null object operator out override params private protected public readonly ref return sbyte sealed short
sizeof stackalloc static string struct switch this throw true try typeof uint ulong unchecked unsafe ushort using
virtual void volatile while
add alias ascending async await by descending dynamic equals from get global group into join let nameof on orderby
notnull partial remove select set unmanaged value var when where yield
"""

_GO = """
break case chan const continue default defer else fallthrough for func go goto if import interface map package range
return select struct switch type var
"""

_JAVA = """
abstract assert boolean break byte case catch char class const continue default do double else enum extends final
finally float for goto if implements import instanceof int interface long native new package private protected public
return short static strictfp super switch synchronized this throw throws transient try void volatile while _
"""

_JAVASCRIPT = """
await break case catch class const continue debugger default delete do else enum export extends false finally for
function if import in instanceof new null return super switch this throw true try typeof var void while with yield
implements interface let package private protected public static
"""

_PHP = """
__halt_compiler abstract and array as break callable case catch class clone const continue declare default die do echo
else elseif empty enddeclare endfor endforeach endif endswitch endwhile eval exit extends final finally fn for foreach
function global goto if implements include include_once instanceof insteadof interface isset list match namespace new or
print private protected public readonly require require_once return static switch throw trait try unset use var while xor
yield
"""

_PYTHON = """
False None True and as assert async await break class continue def del elif else except finally for from global if
import in is lambda nonlocal not or pass raise return try while with yield match case type
"""

_RUBY = """
__ENCODING__ __LINE__ __FILE__ BEGIN END alias and begin break case class def defined? do else elsif end ensure false
for if in module next nil not or redo rescue retry return self super then true undef unless until when while yield
"""

_RUST = """
as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut pub
ref return self Self static struct super trait true type unsafe use where while
abstract become box do final macro override priv try typeof unsized virtual yield union
"""

KEYWORDS: dict[LanguageName, frozenset[str]] = {
    "c": frozenset(_C.split()),
    "cpp": frozenset(_CPP.split()),
    "csharp": frozenset(_CSHARP.split()),
    "go": frozenset(_GO.split()),
    "java": frozenset(_JAVA.split()),
    "javascript": frozenset(_JAVASCRIPT.split()),
    "php": frozenset(_PHP.split()),
    "python": frozenset(_PYTHON.split()),
    "ruby": frozenset(_RUBY.split()),
    "rust": frozenset(_RUST.split()),
}
