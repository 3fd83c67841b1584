//! What the pages share: layout, sessions, roles, CSRF, texts, assets
