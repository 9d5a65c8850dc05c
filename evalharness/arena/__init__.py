"""What people say of stored answers: votes on pairs, ratings of single answers, and what follows from them."""
