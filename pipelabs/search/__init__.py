"""Find anything of the desk by what people type: names, symbols, the ends of a key or a wallet."""
