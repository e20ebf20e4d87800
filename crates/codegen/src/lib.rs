//! `highball-codegen`.
