//! Rules, scores, routing and the audit sample: comments to verdicts
