//! Cells for people who open a CSV in a spreadsheet: a text that would run as a formula there is made a text again.

use std::borrow::Cow;

/// The cell as it may be written to a CSV: where it would start a formula (`=`, `+`, `-`, `@`, their full-width forms, a tab or a
/// carriage return, also after spaces) an apostrophe is put before it. Everything else stays as it is.
#[must_use]
pub fn neutralise(cell: &str) -> Cow<'_, str> {
    const STARTS: &[char] = &['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    let bare = cell.trim_start_matches([' ', '\u{a0}', '\u{feff}', '\u{200b}']);
    if bare.starts_with(STARTS) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::neutralise;

    #[test]
    fn formulas_become_texts() {
        for cell in ["=cmd()", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", "\u{feff}=1"] {
            assert_eq!(neutralise(cell), format!("'{cell}"));
        }
        for cell in ["", "bonjour", "1 = 1", "'=1", "é"] {
            assert_eq!(neutralise(cell), cell);
        }
    }
}
