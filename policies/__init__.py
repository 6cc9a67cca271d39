"""Vision-language-action policies and the RLModule that hosts them."""
