//! Carries decisions out on the platforms
