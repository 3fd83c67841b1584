//! The queue of the moderators and its pages
