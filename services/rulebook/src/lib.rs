//! Rule packs to a matcher with spans into the original text
