//! The rule language: parser, checker, compiler.
