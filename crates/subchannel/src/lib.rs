//! `highball-subchannel`.
