//! Adapters to everything that is not ours, each behind a port of the side that needs it.

pub mod archive;
pub mod contact;
pub mod extract;
pub mod feed;
pub mod jetstream;
pub mod keys;
pub mod objects;
pub mod offline;
pub mod openai;
pub mod resume_text;
pub mod stripe;
pub mod temporary;
mod wire;
