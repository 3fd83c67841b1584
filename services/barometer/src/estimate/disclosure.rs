//! What may be published of a count: suppression of small cells, a second suppression so that sums do not give them away, rounding,
//! and the same across editions that overlap.
//!
//! Promises: no published table, and no sum or difference of published tables, isolates a group of fewer than eleven authors, or one
//! in which a single author is more than 85 %. It works on cells of counts; estimates have their own gate (labels enough).

use std::collections::BTreeSet;

/// A cell before publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cell {
    /// Comments.
    pub count: u64,
    /// Distinct authors.
    pub authors: u64,
    /// Comments of the author who wrote most.
    pub largest: u64,
}

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody: at least eleven authors.
    Public,
    /// The institution itself: at least five.
    Internal,
}

impl Audience {
    /// Distinct authors below which a cell is suppressed.
    #[must_use]
    pub const fn authors_min(self) -> u64 {
        match self {
            Self::Public => 11,
            Self::Internal => 5,
        }
    }
}

/// Whether the cell may stand on its own: authors enough, none of them more than 85 % of it.
#[must_use]
pub const fn is_safe(cell: Cell, audience: Audience) -> bool {
    cell.authors >= audience.authors_min() && cell.largest * 100 <= cell.count * 85
}

/// A public count: rounded to the nearest 5.
#[must_use]
pub const fn round(count: u64) -> u64 {
    (count + 2) / 5 * 5
}

/// Which cells of a table whose row and column sums are published may be shown (`true`). A row or column with exactly one
/// suppressed cell loses its smallest other cell too, until nothing can be found by subtraction.
#[must_use]
pub fn protect(table: &[Vec<Cell>], audience: Audience) -> Vec<Vec<bool>> {
    let safe: Vec<Vec<bool>> = table
        .iter()
        .map(|row| row.iter().map(|cell| is_safe(*cell, audience)).collect())
        .collect();
    complement(table, safe)
}

/// The second suppression: from the cells that may be shown by themselves to those that may be shown together.
#[must_use]
pub fn complement(table: &[Vec<Cell>], mut shown: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    let columns = table.iter().map(Vec::len).max().unwrap_or_default();
    let rows: Vec<Vec<(usize, usize)>> = table
        .iter()
        .enumerate()
        .map(|(i, row)| (0..row.len()).map(|j| (i, j)).collect())
        .collect();
    let lines: Vec<Vec<(usize, usize)>> = rows
        .into_iter()
        .chain((0..columns).map(|j| (0..table.len()).filter(|i| j < table[*i].len()).map(|i| (i, j)).collect()))
        .collect();
    loop {
        let mut changed = false;
        for line in lines.iter().filter(|line| line.len() > 1) {
            if line.iter().filter(|(i, j)| !shown[*i][*j]).count() != 1 {
                continue;
            }
            let smallest = line
                .iter()
                .filter(|(i, j)| shown[*i][*j])
                .min_by_key(|(i, j)| (table[*i][*j].count, *i, *j));
            if let Some((i, j)) = smallest {
                shown[*i][*j] = false;
                changed = true;
            }
        }
        if !changed {
            return shown;
        }
    }
}

/// A period of whole days, as day numbers: [from, to).
pub type Days = (i64, i64);

/// The smallest periods that sums and differences of the `published` editions and `new` can isolate: the pieces between all their
/// bounds, of those that touch `new` directly or through others. The new edition may show a cell only if every piece is empty or
/// safe; editions in which the cell is suppressed do not count as published.
#[must_use]
pub fn pieces(published: &[Days], new: Days) -> Vec<Days> {
    let overlaps = |left: Days, right: Days| left.0 < right.1 && right.0 < left.1;
    let mut joined = vec![new];
    let mut rest: Vec<Days> = published.to_vec();
    loop {
        let (touching, others): (Vec<Days>, Vec<Days>) = rest.iter().partition(|days| joined.iter().any(|known| overlaps(*known, **days)));
        if touching.is_empty() {
            break;
        }
        joined.extend(touching);
        rest = others;
    }
    let bounds: BTreeSet<i64> = joined.iter().flat_map(|days| [days.0, days.1]).collect();
    let bounds: Vec<i64> = bounds.into_iter().collect();
    let covered = |piece: Days| joined.iter().any(|days| overlaps(*days, piece));
    bounds
        .windows(2)
        .map(|pair| (pair[0], pair[1]))
        .filter(|piece| covered(*piece))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn cell(count: u64, authors: u64, largest: u64) -> Cell {
        Cell { count, authors, largest }
    }

    #[test]
    fn small_or_dominated_cells_are_suppressed() {
        let cases = [
            (cell(100, 11, 85), true, true),
            (cell(100, 11, 86), false, false),
            (cell(10, 10, 1), false, true),
            (cell(4, 4, 1), false, false),
            (cell(0, 0, 0), false, false),
        ];
        for (cell, public, internal) in cases {
            assert_eq!(
                (is_safe(cell, Audience::Public), is_safe(cell, Audience::Internal)),
                (public, internal),
                "{cell:?}"
            );
        }
    }

    #[test]
    fn counts_are_rounded_to_five() {
        assert_eq!([0, 2, 3, 7, 8, 12, 13, 1000].map(round), [0, 0, 5, 5, 10, 10, 15, 1000]);
    }

    #[test]
    fn no_row_or_column_has_a_single_hole() {
        let big = cell(200, 50, 10);
        let table = vec![
            vec![cell(3, 3, 1), big, cell(120, 30, 9)],
            vec![big, big, big],
            vec![cell(90, 20, 9), big, big],
        ];
        let shown = protect(&table, Audience::Public);
        for line in 0..3 {
            let (row, column) = (
                (0..3).filter(|j| !shown[line][*j]).count(),
                (0..3).filter(|i| !shown[*i][line]).count(),
            );
            assert!(row != 1 && column != 1, "{shown:?}");
        }
        assert!(!shown[0][0] && shown.iter().flatten().any(|shown| *shown), "{shown:?}");
        assert_eq!(protect(&[vec![big, big]], Audience::Public), [[true, true]]);
    }

    #[test]
    fn pieces_are_what_subtraction_can_reach() {
        assert_eq!(pieces(&[], (0, 31)), [(0, 31)]);
        assert_eq!(pieces(&[(0, 30)], (0, 31)), [(0, 30), (30, 31)]);
        assert_eq!(pieces(&[(40, 50)], (0, 31)), [(0, 31)]);
        assert_eq!(pieces(&[(0, 31)], (7, 14)), [(0, 7), (7, 14), (14, 31)]);
        assert_eq!(
            pieces(&[(20, 40), (35, 60)], (0, 31)),
            [(0, 20), (20, 31), (31, 35), (35, 40), (40, 60)]
        );
    }

    /// One author wrote on the last day only. The edition of the month is out; the one of the month less that day must not show the cell.
    #[test]
    fn two_editions_cannot_be_subtracted() {
        let days: Vec<Cell> = (0..31).map(|day| if day == 30 { cell(2, 1, 2) } else { cell(20, 15, 2) }).collect();
        // Authors of different days are different people here, so that cells of pieces are sums.
        let sum = |piece: Days| {
            days.iter()
                .enumerate()
                .filter(|(day, _)| (piece.0..piece.1).contains(&i64::try_from(*day).unwrap_or_default()))
                .fold(Cell::default(), |all, (_, day)| {
                    cell(all.count + day.count, all.authors + day.authors, all.largest.max(day.largest))
                })
        };
        let allowed = |published: &[Days], new: Days| {
            pieces(published, new)
                .into_iter()
                .map(sum)
                .all(|cell| cell.count == 0 || is_safe(cell, Audience::Public))
        };
        assert!(
            is_safe(sum((0, 31)), Audience::Public) && is_safe(sum((0, 30)), Audience::Public),
            "each is safe by itself"
        );
        assert!(allowed(&[], (0, 31)));
        assert!(!allowed(&[(0, 31)], (0, 30)), "31 days less 30 would give one person away");
        assert!(allowed(&[(0, 31)], (0, 20)));
    }
}
