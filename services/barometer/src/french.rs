//! Numbers and dates as a French reader writes them. Pure.

use jiff::civil::Date;

/// U+202F between thousands and before %, as the rules of typography ask.
const THIN: char = '\u{202f}';

/// `4,18 %` of a proportion.
#[must_use]
pub fn percent(proportion: f64) -> String {
    format!("{:.2}{THIN}%", proportion * 100.0).replace('.', ",")
}

/// `12 345`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(THIN);
        }
        text.push(digit);
    }
    text
}

/// `1er novembre 2026`.
#[must_use]
pub fn date(date: Date) -> String {
    const MONTHS: [&str; 12] = [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ];
    let month = usize::try_from(date.month() - 1)
        .ok()
        .and_then(|month| MONTHS.get(month))
        .copied()
        .unwrap_or_default();
    let day = if date.day() == 1 {
        "1er".to_owned()
    } else {
        date.day().to_string()
    };
    format!("{day} {month} {}", date.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dates_are_french() {
        assert_eq!(percent(0.0418), "4,18\u{202f}%");
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        assert_eq!(date(Date::constant(2026, 11, 1)), "1er novembre 2026");
        assert_eq!(date(Date::constant(2026, 2, 28)), "28 février 2026");
    }
}
