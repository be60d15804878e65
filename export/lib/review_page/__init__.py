"""A page on which a person goes through photos; ``page`` fills the files beside it."""
