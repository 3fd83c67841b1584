//! Tokenizer and ONNX sessions to calibrated scores
