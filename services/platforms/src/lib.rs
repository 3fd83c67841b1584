//! One module per social platform: read comments, receive pushes, act
