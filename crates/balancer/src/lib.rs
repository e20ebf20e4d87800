//! `highball-balancer`.
