use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::super::{ExtractionFailure, Technique};
use super::extract;

const NAMESPACES: &str = concat!(
    r#"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" "#,
    r#"xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml" "#,
    r#"xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" "#,
    r#"xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" "#,
    r#"xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" "#,
    r#"xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" "#,
    r#"xmlns:x="https://example.com/extension""#,
);
const WHITE: &str = r#"<w:color w:val="FFFFFF"/>"#;

fn package(parts: &[(&str, String)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn document(body: &str) -> (&'static str, String) {
    ("word/document.xml", format!("<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>"))
}

fn styles(styles: &str) -> (&'static str, String) {
    ("word/styles.xml", format!("<w:styles {NAMESPACES}>{styles}</w:styles>"))
}

fn run(properties: &str, text: &str) -> String {
    format!("<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>")
}

fn paragraph(properties: &str, runs: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr>{runs}</w:p>")
}

/// Text, and the techniques by which some was hidden.
fn read(parts: &[(&str, String)]) -> (String, Vec<Technique>) {
    let extracted = extract(&package(parts)).unwrap();
    (extracted.text, extracted.hidden.iter().map(|hidden| hidden.technique).collect())
}

/// Reads a body after a line that is always seen.
fn read_body(body: &str) -> (String, Vec<Technique>) {
    read(&[document(&format!("{}{body}", paragraph("", &run("", "seen"))))])
}

#[track_caller]
fn assert_hidden(body: &str, technique: Technique) {
    assert_eq!(read_body(body), ("seen".to_owned(), vec![technique]), "{body}");
}

#[track_caller]
fn assert_seen(body: &str) {
    assert_eq!(read_body(body), ("seen\nshown".to_owned(), vec![]), "{body}");
}

#[test]
fn a_run_is_hidden_by_its_own_properties() {
    let cases = [
        ("<w:vanish/>", Technique::Invisible),
        ("<w14:textFill><w14:noFill/></w14:textFill>", Technique::Invisible),
        (r#"<w:sz w:val="2"/>"#, Technique::Tiny),
        (r#"<w:w w:val="1"/>"#, Technique::Tiny),
        (WHITE, Technique::BackgroundColour),
        (r#"<w:color w:val="F5F5F5"/>"#, Technique::BackgroundColour),
        (r#"<w:color w:val="000000" w:themeColor="background1"/>"#, Technique::BackgroundColour),
        (r#"<w:color w:val="AA0000"/><w:shd w:val="clear" w:fill="AA0000"/>"#, Technique::BackgroundColour),
        (r#"<w:color w:val="000000"/><w:shd w:val="solid" w:color="auto"/>"#, Technique::BackgroundColour),
        (r#"<w:color w:val="FFFF00"/><w:highlight w:val="yellow"/>"#, Technique::BackgroundColour),
        (
            r#"<w14:textFill><w14:solidFill><w14:srgbClr w14:val="FFFFFF"/></w14:solidFill></w14:textFill>"#,
            Technique::BackgroundColour,
        ),
    ];
    for (properties, technique) in cases {
        assert_hidden(&paragraph("", &run(properties, "secret")), technique);
    }
}

#[test]
fn innocent_looks_are_kept() {
    for properties in [
        r#"<w:vanish w:val="0"/>"#,
        r#"<w:color w:val="auto"/>"#,
        r#"<w:color w:val="999999"/>"#,
        r#"<w:color w:val="FFFFFF" w:themeColor="background1" w:themeShade="80"/>"#,
        r#"<w:color w:val="FFFFFF"/><w:shd w:val="clear" w:fill="1F3864"/>"#,
        r#"<w:color w:val="FFFFFF"/><w:highlight w:val="darkBlue"/>"#,
        r#"<w:sz w:val="12"/>"#,
        "<w14:textOutline><w14:noFill/></w14:textOutline>",
    ] {
        assert_seen(&paragraph("", &run(properties, "shown")));
    }
}

#[test]
fn styles_hide_through_their_chain_and_the_run_has_the_last_word() {
    let styles = styles(&format!(
        r#"<w:style w:type="paragraph" w:styleId="Base"><w:rPr>{WHITE}</w:rPr></w:style>
           <w:style w:type="paragraph" w:styleId="Heading"><w:basedOn w:val="Base"/></w:style>
           <w:style w:type="character" w:styleId="Dark"><w:rPr><w:color w:val="000000"/></w:rPr></w:style>
           <w:style w:type="paragraph" w:styleId="Loop"><w:basedOn w:val="Loop"/></w:style>"#
    ));
    let style = |name: &str| format!(r#"<w:pStyle w:val="{name}"/>"#);
    let body = [
        paragraph(&style("Heading"), &run("", "secret")),
        paragraph(&style("Heading"), &run(r#"<w:rStyle w:val="Dark"/>"#, "by style")),
        paragraph(&style("Heading"), &run(r#"<w:color w:val="000000"/>"#, "by itself")),
        paragraph(&style("Loop"), &run("", "in a loop")),
    ];
    let (text, hidden) = read(&[styles, document(&body.concat())]);
    assert_eq!(text, "by style\nby itself\nin a loop");
    assert_eq!(hidden, [Technique::BackgroundColour]);
}

#[test]
fn the_default_paragraph_style_and_the_defaults_count() {
    let default =
        styles(r#"<w:style w:type="paragraph" w:default="1" w:styleId="N"><w:rPr><w:vanish/></w:rPr></w:style>"#);
    let shown =
        document(&[paragraph("", &run("", "secret")), paragraph("", &run(r#"<w:vanish w:val="0"/>"#, "a"))].concat());
    assert_eq!(read(&[default, shown]), ("a".to_owned(), vec![Technique::Invisible]));
    let tiny =
        styles(r#"<w:docDefaults><w:rPrDefault><w:rPr><w:sz w:val="1"/></w:rPr></w:rPrDefault></w:docDefaults>"#);
    assert_eq!(
        extract(&package(&[tiny, document(&paragraph("", &run("", "secret")))])),
        Err(ExtractionFailure::NoText)
    );
}

#[test]
fn paragraph_properties_for_the_mark_do_not_touch_the_run_around_a_text_box() {
    let inner = paragraph(&format!("<w:rPr>{WHITE}<w:vanish/></w:rPr>"), &run("", "box"));
    let body = format!(
        "<w:p><w:r><w:t>before </w:t><w:drawing><wps:txbx><w:txbxContent>{inner}</w:txbxContent></wps:txbx></w:drawing>\
         <w:t>after</w:t></w:r></w:p>"
    );
    assert_eq!(read(&[document(&body)]), ("before\nbox\nafter".to_owned(), vec![]));
}

#[test]
fn lines_and_rows_without_height_hide_their_text() {
    let spacing = |rule: &str| format!(r#"<w:spacing w:line="10" w:lineRule="{rule}"/>"#);
    assert_hidden(&paragraph(&spacing("exact"), &run("", "secret")), Technique::Tiny);
    assert_seen(&paragraph(&spacing("atLeast"), &run("", "shown")));
    let row = |rule: &str, text: &str| {
        let cell = paragraph("", &run("", text));
        format!(
            r#"<w:tbl><w:tr><w:trPr><w:trHeight w:val="1" w:hRule="{rule}"/></w:trPr><w:tc>{cell}</w:tc></w:tr></w:tbl>"#
        )
    };
    assert_hidden(&row("exact", "secret"), Technique::Tiny);
    assert_seen(&row("atLeast", "shown"));
}

#[test]
fn cells_stand_on_their_own_shading_or_that_of_the_table_style() {
    let cell = |properties: &str, text: &str| {
        format!("<w:tc><w:tcPr>{properties}</w:tcPr>{}</w:tc>", paragraph("", &run(WHITE, text)))
    };
    let dark = r#"<w:shd w:val="clear" w:fill="1F3864"/>"#;
    assert_seen(&format!("<w:tbl><w:tr>{}</w:tr></w:tbl>", cell(dark, "shown")));
    assert_hidden(&format!("<w:tbl><w:tr>{}</w:tr></w:tbl>", cell("", "secret")), Technique::BackgroundColour);

    let grid = styles(&format!(
        r#"<w:style w:type="table" w:styleId="Grid"><w:tblStylePr w:type="firstRow"><w:tcPr>{dark}</w:tcPr>
           </w:tblStylePr></w:style>"#
    ));
    let table = format!(
        r#"<w:tbl><w:tblPr><w:tblStyle w:val="Grid"/><w:tblLook w:val="04A0"/></w:tblPr>
           <w:tr>{}</w:tr><w:tr>{}</w:tr></w:tbl>"#,
        cell("", "heading"),
        cell("", "secret")
    );
    assert_eq!(read(&[grid, document(&table)]), ("heading".to_owned(), vec![Technique::BackgroundColour]));
}

#[test]
fn text_boxes_stand_on_their_own_fill() {
    let boxed = |fill: &str, style: &str| {
        let content = paragraph("", &run(WHITE, "shown"));
        format!(
            "<w:p><w:r><w:drawing><wps:wsp><wps:spPr>{fill}<a:ln><a:solidFill><a:srgbClr val=\"FFFFFF\"/></a:solidFill>\
             </a:ln></wps:spPr><wps:style>{style}</wps:style><wps:txbx><w:txbxContent>{content}</w:txbxContent></wps:txbx>\
             </wps:wsp></w:drawing></w:r></w:p>"
        )
    };
    let dark = r#"<a:srgbClr val="203040"/>"#;
    assert_seen(&boxed(&format!("<a:solidFill>{dark}</a:solidFill>"), ""));
    assert_seen(&boxed("", &format!(r#"<a:fillRef idx="1">{dark}</a:fillRef>"#)));
    let by_style = format!(r#"<a:fillRef idx="1">{dark}</a:fillRef>"#);
    assert_hidden(&boxed("<a:noFill/>", &by_style), Technique::BackgroundColour);
    assert_hidden(&boxed("", ""), Technique::BackgroundColour);
}

#[test]
fn drawings_that_do_not_show_hide_their_text() {
    let drawing = |properties: &str| {
        let content = paragraph("", &run("", "shown"));
        format!(
            "<w:p><w:r><w:drawing><wp:anchor>{properties}<wps:wsp><wps:txbx><w:txbxContent>{content}</w:txbxContent>\
             </wps:txbx></wps:wsp></wp:anchor></w:drawing></w:r></w:p>"
        )
    };
    let at = |emu: i64| format!("<wp:positionH><wp:posOffset>{emu}</wp:posOffset></wp:positionH>");
    assert_seen(&drawing(&at(914_400)));
    assert_hidden(&drawing(&at(-99_000_000)), Technique::OffPage);
    assert_hidden(&drawing(r#"<wp:docPr id="1" hidden="1"/>"#), Technique::Invisible);
}

#[test]
fn rows_that_do_not_show_hide_all_that_is_in_them() {
    let row = |properties: &str, content: &str| {
        format!("<w:tbl><w:tr><w:trPr>{properties}</w:trPr><w:tc>{content}</w:tc></w:tr></w:tbl>")
    };
    let secret =
        paragraph(r#"<w:spacing w:line="240" w:lineRule="exact"/>"#, &run(r#"<w:vanish w:val="0"/>"#, "secret"));
    let low = r#"<w:trHeight w:val="10" w:hRule="exact"/>"#;
    assert_hidden(&row("<w:hidden/>", &secret), Technique::Invisible);
    assert_hidden(&row(low, &secret), Technique::Tiny);
    assert_hidden(&row(low, &row("", &secret)), Technique::Tiny);
    let shown = paragraph("", &run("", "shown"));
    assert_seen(&row(r#"<w:hidden w:val="0"/><w:trHeight w:val="400" w:hRule="exact"/>"#, &shown));
}

#[test]
fn what_stands_off_every_page_is_hidden() {
    let placed = |properties: &str, text: &str| paragraph(properties, &run("", text));
    for properties in [
        r#"<w:ind w:left="-20000"/>"#,
        r#"<w:ind w:left="720" w:hanging="9000"/>"#,
        r#"<w:ind w:start="31700"/>"#,
        r#"<w:framePr w:w="3000" w:hAnchor="page" w:x="-3000" w:y="1"/>"#,
        r#"<w:framePr w:w="3000" w:x="1" w:vAnchor="page" w:y="32000"/>"#,
    ] {
        assert_hidden(&placed(properties, "secret"), Technique::OffPage);
    }
    for properties in [
        r#"<w:ind w:left="-1440"/>"#,
        r#"<w:ind w:left="4320" w:hanging="4320"/>"#,
        r#"<w:framePr w:w="3000" w:x="-3000" w:y="1"/>"#,
        r#"<w:framePr w:w="3000" w:hAnchor="page" w:x="-100" w:y="1"/>"#,
    ] {
        assert_seen(&placed(properties, "shown"));
    }
    assert_hidden(&placed(r#"<w:framePr w:w="3000" w:h="10" w:hRule="exact"/>"#, "secret"), Technique::Tiny);
    let table = |property: &str, text: &str| {
        format!("<w:tbl><w:tblPr>{property}</w:tblPr><w:tr><w:tc>{}</w:tc></w:tr></w:tbl>", placed("", text))
    };
    assert_hidden(&table(r#"<w:tblpPr w:tblpX="-25000"/>"#, "secret"), Technique::OffPage);
    assert_hidden(&table(r#"<w:tblInd w:w="32000"/>"#, "secret"), Technique::OffPage);
    assert_seen(&table(r#"<w:tblpPr w:horzAnchor="page" w:tblpX="-100" w:tblpY="-100"/>"#, "shown"));
}

#[test]
fn boxes_next_to_the_page_or_without_room_hide_their_text() {
    let boxed = |origin: &str, emu: i64, width: i64| {
        let content = paragraph("", &run("", "shown"));
        format!(
            "<w:p><w:r><w:drawing><wp:anchor><wp:positionH relativeFrom=\"{origin}\"><wp:posOffset>{emu}</wp:posOffset>\
             </wp:positionH><wp:extent cx=\"{width}\" cy=\"400000\"/><wps:wsp><wps:txbx><w:txbxContent>{content}\
             </w:txbxContent></wps:txbx></wps:wsp></wp:anchor></w:drawing></w:r></w:p>"
        )
    };
    assert_seen(&boxed("page", -900_000, 1_000_000));
    assert_seen(&boxed("column", -1_100_000, 1_000_000));
    assert_hidden(&boxed("page", -1_100_000, 1_000_000), Technique::OffPage);
    assert_hidden(&boxed("column", -5_000_000, 1_000_000), Technique::OffPage);
    assert_hidden(&boxed("page", 100_000, 1_270), Technique::Tiny);
}

#[test]
fn boxes_of_the_older_kind_are_hidden_by_their_style() {
    let boxed = |style: &str| {
        let content = paragraph("", &run("", "shown"));
        format!(
            "<w:p><w:r><w:pict><v:shape xmlns:v=\"urn:schemas-microsoft-com:vml\" style=\"{style}\"><v:textbox>\
             <w:txbxContent>{content}</w:txbxContent></v:textbox></v:shape></w:pict></w:r></w:p>"
        )
    };
    assert_seen(&boxed("position:absolute;margin-left:-20pt;width:2in;height:30px;visibility:visible"));
    assert_hidden(&boxed("width:2in; visibility : hidden"), Technique::Invisible);
    assert_hidden(&boxed("visibility:visible;visibility:hidden"), Technique::Invisible);
    assert_hidden(&boxed("margin-left:-40in;width:2in"), Technique::OffPage);
    assert_hidden(&boxed("top:700mm"), Technique::OffPage);
    assert_hidden(&boxed("width:.02cm"), Technique::Tiny);
    assert_seen(&boxed("width:0;mso-width-percent:400"));
    let grouped = |style: &str, shape: &str| {
        format!(r#"<v:group xmlns:v="urn:schemas-microsoft-com:vml" style="{style}">{}</v:group>"#, boxed(shape))
    };
    assert_seen(&grouped("width:4in;height:2in", "left:12000;top:9000;width:1;height:300"));
    assert_hidden(&grouped("margin-left:-40in;width:4in", "left:0;top:0;width:900;height:300"), Technique::OffPage);
    assert_hidden(&grouped("width:4in;height:2in", "width:900;visibility:hidden"), Technique::Invisible);
}

#[test]
fn transparent_letters_are_hidden_and_pale_ones_are_not() {
    let filled = |transparency: u32| {
        let fill = format!(
            r#"<w14:solidFill><w14:srgbClr w14:val="000000"><w14:alpha w14:val="{transparency}"/></w14:srgbClr></w14:solidFill>"#
        );
        paragraph("", &run(&format!("<w14:textFill>{fill}</w14:textFill>"), "shown"))
    };
    assert_hidden(&filled(98_000), Technique::Transparent);
    assert_seen(&filled(60_000));
}

#[test]
fn long_properties_are_told_and_damaged_ones_do_not_matter() {
    let told = |properties: &str| {
        let body = document(&paragraph("", &run("", "seen")));
        read(&[body, ("docProps/core.xml", properties.to_owned())])
    };
    let keywords = format!("<p><k>{}</k></p>", "word ".repeat(20));
    assert_eq!(told(&keywords), ("seen".to_owned(), vec![Technique::Metadata]));
    assert_eq!(told("<p><k>Resume of Jane</k></p>"), ("seen".to_owned(), vec![]));
    assert_eq!(told("<p><k>Resume</p>"), ("seen".to_owned(), vec![]));
}

#[test]
fn of_alternatives_the_one_that_word_takes_is_read() {
    let alternatives = |requires: &str| {
        paragraph(
            "",
            &format!(
                r#"<mc:AlternateContent><mc:Choice Requires="{requires}">{}</mc:Choice><mc:Fallback>{}</mc:Fallback>
                   </mc:AlternateContent>"#,
                run("", "choice"),
                run("", "fallback")
            ),
        )
    };
    assert_eq!(read_body(&alternatives("wps")).0, "seen\nchoice");
    assert_eq!(read_body(&alternatives("x")).0, "seen\nfallback");
}

#[test]
fn markup_that_word_ignores_is_hidden_text() {
    assert_hidden(&format!("<x:note>{}</x:note>", paragraph("", &run("", "secret"))), Technique::IgnoredMarkup);
    assert_hidden(&format!("<y:note>{}</y:note>", paragraph("", &run("", "secret"))), Technique::IgnoredMarkup);
}

#[test]
fn deletions_and_field_codes_are_not_read_and_insertions_are() {
    let body = format!(
        "<w:p><w:ins>{}</w:ins><w:del>{}</w:del><w:moveFrom>{}</w:moveFrom><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>",
        run("", "new"),
        run("", "old"),
        run("", "moved")
    );
    assert_eq!(read_body(&body), ("seen\nnew".to_owned(), vec![]));
}

#[test]
fn tag_characters_are_dropped_and_reported() {
    let (text, hidden) = read_body(&paragraph("", &run("", "shown\u{e0041}\u{e0042}")));
    assert_eq!((text.as_str(), hidden), ("seen\nshown", vec![Technique::TagCharacters]));
}

fn part(text: &str) -> String {
    format!("<w:hdr {NAMESPACES}>{}</w:hdr>", paragraph("", &run("", text)))
}

fn relationships(targets: &[(&str, &str, &str)]) -> (&'static str, String) {
    let entry = |(id, kind, target): &(&str, &str, &str)| {
        format!(r#"<Relationship Id="{id}" Type="http://example.com/{kind}" Target="{target}"/>"#)
    };
    let entries: String = targets.iter().map(entry).collect();
    ("word/_rels/document.xml.rels", format!("<Relationships>{entries}</Relationships>"))
}

#[test]
fn headers_come_first_and_footers_last() {
    let section = r#"<w:sectPr><w:footerReference w:id="f"/><w:headerReference w:type="default" w:id="h"/></w:sectPr>"#;
    let parts = [
        relationships(&[("f", "footer", "footer1.xml"), ("h", "header", "/word/header1.xml")]),
        ("word/footer1.xml", part("foot")),
        ("word/header1.xml", part("name")),
        document(&format!("{}{section}", paragraph("", &run("", "body")))),
    ];
    assert_eq!(read(&parts).0, "name\nbody\nfoot");
}

#[test]
fn headers_that_no_page_shows_are_not_read() {
    let read_with = |section: &str, settings: &str| {
        let parts = [
            relationships(&[("1", "header", "header1.xml"), ("2", "header", "header2.xml")]),
            ("word/header1.xml", part("first")),
            ("word/header2.xml", part("even")),
            ("word/header3.xml", part("unused")),
            ("word/settings.xml", format!("<w:settings {NAMESPACES}>{settings}</w:settings>")),
            document(&format!("{}<w:sectPr>{section}</w:sectPr>", paragraph("", &run("", "body")))),
        ];
        read(&parts).0
    };
    let first = r#"<w:headerReference w:type="first" w:id="1"/>"#;
    let even = r#"<w:headerReference w:type="even" w:id="2"/>"#;
    assert_eq!(read_with(&format!("{first}{even}"), ""), "body");
    assert_eq!(read_with(&format!("{first}{even}<w:titlePg/>"), ""), "first\nbody");
    assert_eq!(read_with(&format!("{first}{even}"), "<w:evenAndOddHeaders/>"), "even\nbody");
}

#[test]
fn notes_are_read_where_the_text_marks_them() {
    let note =
        |id: &str, text: &str| format!(r#"<w:footnote w:id="{id}">{}</w:footnote>"#, paragraph("", &run("", text)));
    let notes = format!("<w:footnotes {NAMESPACES}>{}{}</w:footnotes>", note("1", "marked"), note("2", "secret"));
    let body = paragraph("", r#"<w:r><w:t>body</w:t><w:footnoteReference w:id="1"/></w:r>"#);
    let parts = [relationships(&[("n", "footnotes", "footnotes.xml")]), ("word/footnotes.xml", notes), document(&body)];
    assert_eq!(read(&parts), ("body\nmarked".to_owned(), vec![Technique::IgnoredMarkup]));
}

#[test]
fn the_document_is_the_one_that_the_package_names() {
    let named = r#"<Relationships><Relationship Type="http://example.com/officeDocument" Target="word/document2.xml"/>
        </Relationships>"#;
    let real = format!("<w:document {NAMESPACES}>{}</w:document>", paragraph("", &run("", "real")));
    let parts =
        [("_rels/.rels", named.to_owned()), ("word/document2.xml", real), document(&paragraph("", &run("", "decoy")))];
    assert_eq!(read(&parts).0, "real");
}

#[test]
fn hostile_packages_are_refused() {
    let entity = r#"<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>"#;
    let with_entity = ("word/document.xml", format!("{entity}<w:document {NAMESPACES}>&e;</w:document>"));
    assert_eq!(extract(&package(&[with_entity])), Err(ExtractionFailure::BrokenFile));
    let undefined = paragraph("", &run("", "&e;"));
    assert_eq!(extract(&package(&[document(&undefined)])), Err(ExtractionFailure::BrokenFile));
    let deep = format!("{}{}", "<w:tbl>".repeat(5_000), "</w:tbl>".repeat(5_000));
    assert_eq!(extract(&package(&[document(&deep)])), Err(ExtractionFailure::TooComplex));
    assert_eq!(extract(&package(&[("xl/workbook.xml", String::new())])), Err(ExtractionFailure::BrokenFile));
    assert_eq!(extract(b"PK\x03\x04 and then nothing"), Err(ExtractionFailure::BrokenFile));
}

#[test]
fn a_password_and_a_document_of_pictures_are_told_apart_from_damage() {
    let encrypted = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....";
    assert_eq!(extract(encrypted), Err(ExtractionFailure::PasswordProtected));
    let scan = [document("<w:p/>"), ("word/media/image1.png", String::new())];
    assert_eq!(extract(&package(&scan)), Err(ExtractionFailure::ScannedImage));
    assert_eq!(extract(&package(&[document("<w:p/>")])), Err(ExtractionFailure::NoText));
}
