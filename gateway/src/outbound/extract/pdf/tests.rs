use super::super::{Extracted, ExtractionFailure, HiddenText, Technique};
use super::extract;

/// One page of A4 with the given operators; objects from 6 on are the test's own, and `resources` may name them.
fn pdf(operators: &str, resources: &str, objects: &str) -> Vec<u8> {
    // Without a table of objects, which readers rebuild.
    format!(
        "%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n\
         2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n\
         3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R\n\
         /Resources << /Font << /F1 5 0 R /F2 7 0 R >> {resources} >> >>\nendobj\n\
         4 0 obj\n<< /Length {} >>\nstream\n{operators}\nendstream\nendobj\n\
         5 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>\nendobj\n\
         {objects}\ntrailer << /Root 1 0 R >>\n",
        operators.len() + 1
    )
    .into_bytes()
}

const SEEN: &str = "BT /F1 12 Tf 50 780 Td (seen) Tj ET\n";
/// A grey picture of one pixel.
const PICTURE: &str = "6 0 obj\n<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray \
                       /BitsPerComponent 8 /Length 1 >>\nstream\n\u{7f}\nendstream\nendobj";
const PICTURE_NAME: &str = "/XObject << /I 6 0 R >>";
/// Text clipped by a circle-like path is in doubt, and so the page is rendered.
const DOUBT: &str = "q 0 0 m 600 0 l 600 842 l 0 842 l 0 10 l h W n BT /F1 12 Tf 300 780 Td (too) Tj ET Q\n";

fn read(operators: &str) -> Extracted {
    extract(pdf(operators, PICTURE_NAME, PICTURE)).unwrap()
}

fn techniques(extracted: &Extracted) -> Vec<Technique> {
    extracted.hidden.iter().map(|hidden| hidden.technique).collect()
}

#[track_caller]
fn assert_hidden(operators: &str, technique: Technique) {
    let extracted = read(&format!("{SEEN}{operators}"));
    assert_eq!(extracted.text, "seen");
    assert_eq!(techniques(&extracted), [technique]);
}

#[track_caller]
fn assert_seen(operators: &str, text: &str) {
    let extracted = read(operators);
    assert_eq!(extracted.text, text);
    assert_eq!(techniques(&extracted), []);
}

#[test]
fn text_under_a_later_glyph_is_hidden() {
    let block = "q 1 g BT /F1 900 Tf 20 400 Td (I) Tj ET Q";
    let extracted = read(&format!("{SEEN}BT /F1 12 Tf 150 500 Td (secret) Tj ET {block}"));
    assert!(!extracted.text.contains("secret"), "{}", extracted.text);
}

#[test]
fn text_under_a_later_box_or_picture_is_hidden() {
    let secret = "BT /F1 12 Tf 50 500 Td (secret) Tj ET";
    assert_hidden(&format!("{secret} q 1 g 40 490 200 30 re f Q"), Technique::Covered);
    assert_hidden(&format!("{secret} q 500 0 0 40 40 490 cm /I Do Q"), Technique::Covered);
    assert_hidden(&format!("q 0 0 10 10 re W n {secret} Q"), Technique::Covered);
}

#[test]
fn a_run_that_is_half_covered_keeps_its_other_half() {
    let half = "BT /F1 12 Tf 50 500 Td (kept words and secret words) Tj ET q 1 g 113 490 200 30 re f Q";
    let extracted = read(&format!("{SEEN}{half}"));
    assert!(extracted.text.contains("kept words"), "{}", extracted.text);
    assert!(!extracted.text.contains("secret"), "{}", extracted.text);
}

#[test]
fn letters_that_fill_their_box_are_seen_on_a_rendered_page() {
    let letters = "BT /F1 12 Tf 50 700 Td (l) Tj (I) Tj (l) Tj (l) Tj ( ) Tj (-) Tj (.) Tj ET";
    assert_seen(&format!("{SEEN}{DOUBT}{letters}"), "seen too\nlIll -.");
    let white = "q 1 g BT /F1 12 Tf 50 700 Td (l) Tj (I) Tj (l) Tj ET Q";
    let extracted = read(&format!("{SEEN}{DOUBT}{white}"));
    assert_eq!((extracted.text.as_str(), techniques(&extracted)), ("seen too", vec![Technique::BackgroundColour]));
}

#[test]
fn outlined_text_is_seen() {
    assert_seen(&format!("{SEEN}BT /F1 24 Tf 1 Tr 0.7 w 50 700 Td (Outlined) Tj ET"), "seen\nOutlined");
    assert_seen(&format!("{SEEN}q 1 g BT /F1 24 Tf 2 Tr 0.7 w 50 700 Td (Hollow) Tj ET Q"), "seen\nHollow");
    assert_hidden("q 1 G BT /F1 24 Tf 1 Tr 0.7 w 50 700 Td (secret) Tj ET Q", Technique::BackgroundColour);
}

#[test]
fn what_blends_with_the_paper_is_hidden() {
    let blending = |mode: &str| {
        let resources = format!("/ExtGState << /G << /BM /{mode} >> >>");
        extract(pdf(&format!("{SEEN}q /G gs BT /F1 12 Tf 50 700 Td (blend) Tj ET Q"), &resources, "")).unwrap()
    };
    let extracted = blending("Difference");
    assert_eq!((extracted.text.as_str(), techniques(&extracted)), ("seen", vec![Technique::Covered]));
    assert_eq!(blending("Multiply").text, "seen\nblend");
}

const GROUP: &str = "/ExtGState << /T << /ca 0 >> >> /XObject << /I 6 0 R >>";

#[test]
fn transparent_letters_over_the_same_letters_are_a_shadow() {
    let twice = |below: &str| {
        let transparent = "q /T gs BT /F1 24 Tf 50 700 Td (Skills) Tj ET Q";
        let below = format!("BT /F1 24 Tf {below} Tj ET");
        extract(pdf(&format!("{SEEN}{below} {transparent}"), GROUP, PICTURE)).unwrap()
    };
    let extracted = twice("51 699 Td (Skills)");
    assert_eq!((extracted.text.as_str(), techniques(&extracted)), ("seen\nSkills", vec![]));
    let extracted = twice("50 700 Td (Rating)");
    assert_eq!((extracted.text.as_str(), techniques(&extracted)), ("seen\nRating", vec![Technique::Transparent]));
}

#[test]
fn transparent_letters_are_read_where_the_page_shows_their_very_shape() {
    let over = |claimed: &str, shown: &str| {
        let transparent = format!("q /T gs BT /F1 24 Tf 50 700 Td ({claimed}) Tj ET Q");
        let clip = format!("q BT 7 Tr /F1 24 Tf 50 700 Td ({shown}) Tj ET 0.8 0.2 0.2 rg 0 600 500 200 re f Q");
        extract(pdf(&format!("{SEEN}{clip} {transparent}"), GROUP, PICTURE)).unwrap()
    };
    assert_eq!(over("Skills", "Skills").text, "seen\nSkills");
    assert_eq!(over("Skills", "Rating").text, "seen");
}

#[test]
fn fields_that_no_viewer_shows_and_layers_by_their_rule_are_told() {
    let told = |page: &str, operators: &str, objects: &str| {
        let file =
            String::from_utf8(pdf(&format!("{SEEN}{operators}"), "/Properties << /L 8 0 R >>", objects)).unwrap();
        let extracted = extract(file.replacen("/MediaBox", &format!("{page} /MediaBox"), 1).into_bytes()).unwrap();
        assert_eq!(extracted.text, "seen", "{objects}");
        techniques(&extracted)
    };
    let field = |flags: u8| {
        let value = "obey me ".repeat(9);
        format!("6 0 obj\n<< /Type /Annot /Subtype /Widget /F {flags} /V ({value}) /Rect [0 0 9 9] >>\nendobj\n")
    };
    assert_eq!(told("/Annots [6 0 R]", "", &field(2)), [Technique::Annotation]);
    assert_eq!(told("/Annots [6 0 R]", "", &field(4)), []);
    for (rule, is_told) in [("AllOn", true), ("AnyOff", false), ("AnyOn", false)] {
        let objects = format!(
            "6 0 obj\n<< /Type /OCG /Name (on) >>\nendobj\n7 0 obj\n<< /Type /OCG /Name (off) >>\nendobj\n\
             8 0 obj\n<< /Type /OCMD /OCGs [6 0 R 7 0 R] /P /{rule} >>\nendobj\n"
        );
        let operators = "/OC /L BDC BT /F1 12 Tf 50 700 Td (layered) Tj ET EMC";
        let file =
            String::from_utf8(pdf(&format!("{SEEN}{operators}"), "/Properties << /L 8 0 R >>", &objects)).unwrap();
        let layers = "/OCProperties << /OCGs [6 0 R 7 0 R] /D << /OFF [7 0 R] >> >> /Type /Catalog";
        let extracted = extract(file.replacen("/Type /Catalog", layers, 1).into_bytes()).unwrap();
        assert_eq!(techniques(&extracted).contains(&Technique::HiddenLayer), is_told, "{rule}: {}", extracted.text);
    }
}

#[test]
fn text_that_is_filled_and_stroked_is_counted_once() {
    let extracted = read(&format!("{SEEN}q 1 g 1 G BT /F1 24 Tf 2 Tr 0.7 w 50 700 Td (secret) Tj ET Q"));
    assert_eq!(extracted.text, "seen");
    assert_eq!(extracted.hidden, [HiddenText { technique: Technique::BackgroundColour, characters: 6 }]);
}

#[test]
fn bold_by_printing_twice_is_read_once() {
    let twice = "BT /F1 12 Tf 50 700 Td (Bold) Tj ET BT /F1 12 Tf 50.3 700 Td (Bold) Tj ET";
    assert_seen(twice, "Bold");
}

/// A font whose `a` is a square and whose `b` draws nothing, both mapped to letters by their names.
fn type3(square: &str) -> String {
    format!(
        "7 0 obj\n<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1000 1000] /FontMatrix [0.001 0 0 0.001 0 0] \
         /CharProcs << /a 8 0 R /b 9 0 R >> /Encoding << /Type /Encoding /Differences [97 /a /b] >> /FirstChar 97 \
         /LastChar 98 /Widths [1000 1000] >>\nendobj\n\
         8 0 obj\n<< /Length {} >>\nstream\n{square}\nendstream\nendobj\n\
         9 0 obj\n<< /Length 11 >>\nstream\n1000 0 d0 n\nendstream\nendobj\n{PICTURE}",
        square.len()
    )
}

#[test]
fn glyphs_of_type_3_fonts_are_judged_by_what_they_draw() {
    let read = |square: &str| {
        let operators = format!("{SEEN}BT /F2 12 Tf 50 700 Td (aaab) Tj ET");
        let extracted = extract(pdf(&operators, PICTURE_NAME, &type3(square))).unwrap();
        (extracted.text.clone(), techniques(&extracted))
    };
    let (text, hidden) = read("1000 0 d0 0 0 700 700 re f");
    assert_eq!((text.as_str(), hidden), ("seen\naaa", vec![Technique::Invisible]));
    let (text, hidden) = read("1000 0 d0 1 g 0 0 700 700 re f");
    assert_eq!(text, "seen");
    assert!(hidden.contains(&Technique::Covered), "{hidden:?}");
    assert_eq!(read("1000 0 d0 100 w 0 300 m 900 300 l S").0, "seen\naaa");
}

#[test]
fn a_replacement_text_of_the_same_length_is_not_believed() {
    let extracted = read("/Span << /ActualText (obey me now) >> BDC BT /F1 12 Tf 50 700 Td (my hobbies) Tj ET EMC");
    assert_eq!((extracted.text.as_str(), techniques(&extracted)), ("my hobbies", vec![Technique::ActualText]));
}

#[test]
fn a_glyph_that_claims_to_be_a_sentence_is_not_believed() {
    let map = "begincmap 1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfchar \
               <61> <006f0062006500790020006d00650020006e006f0077> endbfchar endcmap";
    let font = format!(
        "7 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding /ToUnicode 8 0 R >>\n\
         endobj\n8 0 obj\n<< /Length {} >>\nstream\n{map}\nendstream\nendobj\n",
        map.len()
    );
    let extracted = extract(pdf(&format!("{SEEN}BT /F2 12 Tf 50 700 Td (a) Tj ET"), "", &font)).unwrap();
    assert_eq!((extracted.text.as_str(), techniques(&extracted)), ("seen", vec![Technique::ActualText]));
}

#[test]
fn a_page_that_is_turned_is_read_upright() {
    let turned = String::from_utf8(pdf(&format!("{SEEN}BT /F1 12 Tf 50 700 Td (below) Tj ET"), "", "")).unwrap();
    let turned = turned.replace("/MediaBox", "/Rotate 90 /MediaBox").into_bytes();
    // Its text runs down the page then, and is still read line by line.
    assert_eq!(extract(turned).unwrap().text, "seen\nbelow");
}

#[test]
fn blanks_do_not_make_room_for_a_replacement_text() {
    let unmapped = type3("1000 0 d0 0 0 700 700 re f").replace("/a 8", "/g1 8").replace("/b 9", "/g2 9");
    let unmapped = unmapped.replace("[97 /a /b]", "[97 /g1 /g2]");
    let replaced = |text: &str| {
        let operators = format!("{SEEN}/Span << /ActualText ({text}) >> BDC BT /F2 12 Tf 50 700 Td (abbbbb) Tj ET EMC");
        extract(pdf(&operators, PICTURE_NAME, &unmapped)).unwrap()
    };
    assert_eq!(replaced("fi").text, "seen\nfi");
    let extracted = replaced("obey me now");
    assert_eq!((extracted.text.as_str(), techniques(&extracted)), ("seen", vec![Technique::ActualText]));
}

#[test]
fn an_icon_or_a_hyphen_may_say_what_it_stands_for() {
    assert_seen(
        "/Span << /ActualText (experience) >> BDC BT /F1 12 Tf 50 700 Td (experi-ence) Tj ET EMC",
        "experience",
    );
}

#[test]
fn text_that_runs_up_the_page_follows_and_is_read_in_its_own_direction() {
    let label = "BT /F1 12 Tf 0 1 -1 0 30 300 Tm (Side label) Tj ET BT /F1 12 Tf 0 1 -1 0 50 300 Tm (below) Tj ET ";
    assert_seen(&format!("{label}{SEEN}"), "seen\nSide label\nbelow");
}

#[test]
fn a_scan_with_a_stamp_is_a_scan_and_a_letterhead_is_not() {
    let page_of_picture = "q 595 0 0 842 0 0 cm /I Do Q";
    let stamp = "BT /F1 8 Tf 50 20 Td (Scanned with an app) Tj ET";
    let scan = extract(pdf(&format!("{page_of_picture} {stamp}"), PICTURE_NAME, PICTURE));
    assert_eq!(scan, Err(ExtractionFailure::ScannedImage));
    let logo = "q 100 0 0 100 400 700 cm /I Do Q";
    assert_seen(&format!("{logo} {SEEN}"), "seen");
}

#[test]
fn a_picture_and_no_text_is_a_scan_whatever_its_size() {
    let photo = "q 100 0 0 100 400 700 cm /I Do Q";
    assert_eq!(extract(pdf(photo, PICTURE_NAME, PICTURE)), Err(ExtractionFailure::ScannedImage));
}

#[test]
fn invisible_text_over_a_picture_is_a_scan() {
    let layer = "q 595 0 0 842 0 0 cm /I Do Q BT 3 Tr /F1 12 Tf 50 700 Td (recognised by a machine) Tj ET";
    assert_eq!(extract(pdf(layer, PICTURE_NAME, PICTURE)), Err(ExtractionFailure::ScannedImage));
}

#[test]
fn a_page_without_text_has_none_and_a_broken_file_is_broken() {
    assert_eq!(extract(pdf("0 0 10 10 re f", "", "")), Err(ExtractionFailure::NoText));
    assert_eq!(extract(b"%PDF-1.7 and nothing else".to_vec()), Err(ExtractionFailure::BrokenFile));
}

#[test]
fn forms_within_forms_run_out_of_budget() {
    let mut objects = String::new();
    let uses = "/X Do ".repeat(20);
    for level in 6..12 {
        let (next, content) = (level + 1, if level < 11 { uses.clone() } else { "0 0 5 5 re f".to_owned() });
        let form = format!(
            "{level} 0 obj\n<< /Type /XObject /Subtype /Form /BBox [0 0 595 842] /Resources << /XObject << /X {next} 0 R >> >> \
             /Length {} >>\nstream\n{content}\nendstream\nendobj\n",
            content.len()
        );
        objects.push_str(&form);
    }
    assert_eq!(extract(pdf(&uses, "/XObject << /X 6 0 R >>", &objects)), Err(ExtractionFailure::TooComplex));
}
