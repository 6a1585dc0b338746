//! Lane.
