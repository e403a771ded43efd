//! What verbs print: lines, tables for people, JSON for programs. A reader that goes away is no failure.

use std::{
    fmt::Display,
    io::{Write, stdout},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

/// Longest text in a cell; the whole of it is in the JSON.
const MAX_CELL_CHARS: usize = 90;

/// Prints a line. False: nobody reads any more.
pub fn say(line: impl Display) -> bool {
    writeln!(stdout(), "{line}").is_ok()
}

/// Prints a value as JSON.
pub fn say_json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => say(text),
        Err(error) => say(format_args!("{{\"error\": \"{error}\"}}")), // maps with other keys than text: we have none
    };
}

/// Rows under heads, as wide as they need to be; columns of numbers are flush right.
pub struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: vec![] }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell)).collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn text(&self) -> String {
        let columns = 0..self.heads.len();
        let cell = |row: &'_ [String], column: usize| row.get(column).cloned().unwrap_or_default();
        let layout: Vec<(usize, bool)> = columns
            .map(|column| {
                let cells = self.rows.iter().map(|row| cell(row, column));
                let widest = cells.clone().map(|text| text.chars().count()).max().unwrap_or(0);
                let numbers = cells.clone().all(|text| text.chars().all(|c| c.is_ascii_digit()) || text == "-");
                (widest.max(self.heads[column].chars().count()), numbers && !self.rows.is_empty())
            })
            .collect();
        let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
        let lines = std::iter::once(&heads).chain(&self.rows).map(|row| {
            let cells = layout.iter().enumerate().map(|(column, (width, right))| {
                let text = cell(row, column);
                if *right { format!("{text:>width$}") } else { format!("{text:<width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub fn print(&self) {
        say(self.text());
    }
}

/// What other systems said may hold anything, escape sequences too.
fn one_line(text: &str) -> String {
    let mut line: String = text.chars().take(MAX_CELL_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > MAX_CELL_CHARS {
        line.push('…');
    }
    line
}

/// How long ago, in the largest unit that says enough.
pub fn age(since: DateTime<Utc>) -> String {
    span(Utc::now() - since)
}

fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// To the last digit that is kept, so that it can be asked for again.
pub fn exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

pub fn or_dash(text: Option<impl Display>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed_and_numbers_are_flush_right() {
        let mut table = Table::new(&["lane", "ready", "last error"]);
        table.row(["extract".to_owned(), "7".to_owned(), String::new()]);
        table.row(["react".to_owned(), "1200".to_owned(), "a\x1b[2Jb".to_owned()]);
        assert_eq!(table.text(), "lane     ready  last error\nextract      7\nreact     1200  a [2Jb");
    }

    #[test]
    fn an_age_is_told_in_the_largest_unit_that_says_enough() {
        let told = [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")];
        for (seconds, text) in told {
            assert_eq!(span(TimeDelta::seconds(seconds)), text);
        }
    }
}
