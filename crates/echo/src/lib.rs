//! `highball-echo`.

pub mod custom_round_robin;
