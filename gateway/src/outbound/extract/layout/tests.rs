use hayro::kurbo::Rect;

use super::{PlacedGlyph, reading_order};

const SIZE: f64 = 10.0;
/// Every letter of the tests is this wide, in em.
const LETTER_EM: f64 = 0.5;

/// Text drawn letter by letter from `x` on the baseline `y`, with blanks left out as LaTeX leaves them out.
fn text(x: f64, y: f64, text: &str) -> Vec<PlacedGlyph> {
    spaced_text(x, y, 0.0, text)
}

fn spaced_text(x: f64, y: f64, spacing_em: f64, text: &str) -> Vec<PlacedGlyph> {
    let mut glyphs = Vec::new();
    let mut left = x;
    for letter in text.chars() {
        let width = LETTER_EM * SIZE;
        if letter != ' ' {
            let bounds = Rect::new(left, y - 7.5, left + width, y + 2.0);
            glyphs.push(PlacedGlyph { text: letter.to_string(), bounds, baseline: y, size: SIZE });
        }
        left += width + spacing_em * SIZE;
    }
    glyphs
}

/// Lines at a distance of 13 points from `top` down.
fn block(x: f64, top: f64, lines: &[&str]) -> Vec<PlacedGlyph> {
    let mut y = top;
    let mut glyphs = Vec::new();
    for line in lines {
        glyphs.extend(text(x, y, line));
        y += 13.0;
    }
    glyphs
}

fn read(parts: &[Vec<PlacedGlyph>]) -> Vec<String> {
    reading_order(parts.concat())
}

const LEFT: [&str; 4] = ["skills", "rust and more", "databases", "languages"];
const RIGHT: [&str; 5] = [
    "experience with many things",
    "built a large system for it",
    "and wrote about it at length",
    "then led a team of ten people",
    "in three countries for years",
];

#[test]
fn columns_are_read_one_after_the_other() {
    let order = read(&[block(40.0, 100.0, &LEFT), block(200.0, 100.0, &RIGHT)]);
    assert_eq!(order, [LEFT.as_slice(), &RIGHT].concat());
}

#[test]
fn the_order_of_drawing_does_not_matter() {
    let mut glyphs = [block(40.0, 100.0, &LEFT), block(200.0, 104.0, &RIGHT)].concat();
    glyphs.sort_by(|a, b| a.baseline.total_cmp(&b.baseline)); // line by line across both columns
    assert_eq!(reading_order(glyphs), [LEFT.as_slice(), &RIGHT].concat());
}

#[test]
fn a_heading_over_both_columns_comes_first() {
    let heading = "a heading that goes over the whole width of this page and ends here";
    let order = read(&[text(40.0, 80.0, heading), block(40.0, 100.0, &LEFT), block(200.0, 100.0, &RIGHT)]);
    assert_eq!(order[0], heading);
    assert_eq!(order[1..5], LEFT);
}

#[test]
fn three_columns_are_three_columns() {
    let third = ["golf for fun", "hotel school", "india by bike"];
    let order = read(&[block(40.0, 100.0, &LEFT), block(200.0, 100.0, &RIGHT), block(400.0, 107.0, &third)]);
    assert_eq!(order, [LEFT.as_slice(), &RIGHT, &third].concat());
}

#[test]
fn dates_at_the_right_margin_stay_on_their_lines() {
    let mut parts = Vec::new();
    for (entry, y) in [("2015", 100.0), ("2018", 160.0), ("2021", 220.0)] {
        parts.push(text(40.0, y, "engineer at work"));
        parts.push(text(400.0, y, &format!("since {entry}")));
        parts.push(block(50.0, y + 15.0, &["did this and that", "and then some more"]));
    }
    let order = read(&parts);
    assert_eq!(order[..3], ["engineer at work since 2015", "did this and that", "and then some more"]);
    assert_eq!(order[6], "engineer at work since 2021");
}

#[test]
fn places_without_digits_stay_on_their_lines() {
    let mut parts = Vec::new();
    for y in [100.0, 160.0, 220.0] {
        parts.push(text(40.0, y, "engineer at work"));
        parts.push(text(400.0, y, "berlin mitte"));
        parts.push(block(50.0, y + 15.0, &["did this and that", "and then some more"]));
    }
    assert_eq!(read(&parts)[0], "engineer at work berlin mitte");
}

#[test]
fn dates_at_the_left_margin_stay_on_their_lines() {
    let mut parts = Vec::new();
    for (entry, y) in [("2015-2018", 100.0), ("2018-2021", 160.0), ("2021-2024", 220.0)] {
        parts.push(text(40.0, y, entry));
        parts.push(block(120.0, y, &["engineer at work in a large place", "did this and that all the time"]));
    }
    assert_eq!(read(&parts)[..2], ["2015-2018 engineer at work in a large place", "did this and that all the time"]);
}

#[test]
fn a_sidebar_on_the_same_baselines_is_a_column() {
    let order = read(&[block(40.0, 100.0, &RIGHT), block(400.0, 100.0, &LEFT)]);
    assert_eq!(order, [RIGHT.as_slice(), &LEFT].concat());
}

#[test]
fn a_small_table_is_read_row_by_row() {
    let order = read(&[
        block(40.0, 100.0, &["english", "polish", "german"]),
        block(200.0, 100.0, &["fluent", "native", "basic"]),
    ]);
    assert_eq!(order, ["english fluent", "polish native", "german basic"]);
}

#[test]
fn a_gap_makes_a_word_where_no_blank_is_drawn() {
    assert_eq!(read(&[text(40.0, 100.0, "one two")]), ["one two"]);
    let narrow = [text(40.0, 100.0, "one"), text(40.0 + 3.0 * 5.0 + 1.5, 100.0, "two")].concat();
    assert_eq!(reading_order(narrow), ["one two"]);
    let kerned = [text(40.0, 100.0, "one"), text(40.0 + 3.0 * 5.0 + 0.5, 100.0, "two")].concat();
    assert_eq!(reading_order(kerned), ["onetwo"]);
}

#[test]
fn letter_spaced_headings_are_words() {
    assert_eq!(reading_order(spaced_text(40.0, 100.0, 0.3, "EXPERIENCE AT WORK")), ["EXPERIENCE AT WORK"]);
    assert_eq!(reading_order(spaced_text(40.0, 100.0, 0.3, "LIA")), ["LIA"]);
}

#[test]
fn bold_made_by_printing_twice_is_read_once() {
    let twice = [text(40.0, 100.0, "bold all"), text(40.3, 100.0, "bold all")].concat();
    assert_eq!(reading_order(twice), ["bold all"]);
    assert_eq!(reading_order(text(40.0, 100.0, "aaa")), ["aaa"]);
}

#[test]
fn the_shadow_of_a_large_letter_is_read_once() {
    let large = |x: f64, y: f64| PlacedGlyph { size: 30.0, ..text(x, y, "A")[0].clone() };
    assert_eq!(reading_order(vec![large(40.0, 100.0), large(42.5, 102.5)]), ["A"]);
}

#[test]
fn a_glyph_without_meaning_does_not_stretch_a_word_somewhere_else() {
    let mut stray = text(40.0, 300.0, "x");
    stray[0].text.clear();
    let order = read(&[text(40.0, 100.0, "some words of text"), stray, text(40.0, 320.0, "more text")]);
    assert_eq!(order, ["some words of text", "more text"]);
    let mut ligature = text(40.0, 100.0, "afi");
    ligature[1].text = "fi".to_owned();
    ligature[2].text.clear();
    assert_eq!(reading_order([ligature, text(55.0, 100.0, "x")].concat()), ["afix"]);
}

#[test]
fn superscripts_stay_on_their_line() {
    let mut raised = text(50.0, 96.5, "st");
    for glyph in &mut raised {
        glyph.size = 6.0;
    }
    assert_eq!(read(&[text(40.0, 100.0, "1"), raised, text(70.0, 100.0, "place")]).len(), 1);
}

#[test]
fn a_long_page_of_dated_lines_is_read_line_by_line() {
    let mut parts = Vec::new();
    for line in 0_u8..120 {
        let y = 14.0 * f64::from(line);
        parts.push(text(40.0, y, "left side text"));
        parts.push(text(300.0, y, "since 2015"));
    }
    assert_eq!(read(&parts), ["left side text since 2015"; 120]);
}
