"""CodeBLEU: how much generated code shares with its references, in words, syntax and data flow."""
