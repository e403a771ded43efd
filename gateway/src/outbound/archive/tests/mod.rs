//! Archives that were made to hurt: each is refused, or its entry skipped with a reason, within two seconds.

mod hostile;
mod made;

use std::{
    io::Cursor,
    time::{Duration, Instant},
};

use super::*;
use made::{Made, archive, commented};

const PDF: &[u8] = b"%PDF-1.7 a resume";
const MAX_FILE_BYTES: u64 = 10 << 20;

/// Name of each file, and its content or the reason for its not having one.
type Files = Vec<(String, Result<Vec<u8>, &'static str>)>;

fn read(archive: Vec<u8>) -> Result<Files, RefusedArchive> {
    let begin = Instant::now();
    let mut files = vec![];
    let outcome = Archive::open(Cursor::new(archive), MAX_FILE_BYTES).and_then(|mut archive| {
        archive.look_through(|entry| files.push((entry.name.to_owned(), entry.content.map(<[u8]>::to_vec))))
    });
    let taken = begin.elapsed();
    assert!(taken < Duration::from_secs(2), "it took {taken:?}");
    outcome.map(|()| files)
}

#[track_caller]
fn files(archive: Vec<u8>) -> Files {
    read(archive).unwrap()
}

fn names(archive: Vec<u8>) -> Vec<String> {
    files(archive).into_iter().map(|(name, _)| name).collect()
}

/// The reason why the only file is skipped.
#[track_caller]
fn skipped(entry: Made) -> &'static str {
    let files = files(archive(&[entry, Made::stored("good.pdf", PDF)]));
    assert_eq!(files[1], ("good.pdf".to_owned(), Ok(PDF.to_vec())), "a bad entry hurts no other");
    files[0].1.as_ref().unwrap_err()
}

#[track_caller]
fn refused(archive: Vec<u8>) -> &'static str {
    let Err(refusal) = read(archive) else { panic!("it was read") };
    match refusal {
        RefusedArchive::Invalid => "invalid",
        RefusedArchive::TooManyEntries => "too many entries",
        RefusedArchive::TooLarge => "too large",
        RefusedArchive::Unavailable(error) => panic!("not the store's fault: {error}"),
    }
}

#[test]
fn an_honest_archive_is_read_in_its_order() {
    let large = PDF.repeat(50_000);
    let made = archive(&[
        Made::stored("b/", b""),
        Made::stored("b/stored.pdf", PDF),
        Made::deflated("a/deflated.pdf", &large),
        Made { flags: 0x0808, ..Made::deflated("Zoë.docx", b"streamed") },
    ]);
    let expected = [("stored.pdf", PDF), ("deflated.pdf", &large), ("Zoë.docx", b"streamed")];
    let expected: Files = expected.map(|(name, content)| (name.to_owned(), Ok(content.to_vec()))).to_vec();
    assert_eq!(files(made.clone()), expected);

    let mut archive = Archive::open(Cursor::new(made), MAX_FILE_BYTES).unwrap();
    assert_eq!(archive.content(1).unwrap(), large, "the content of one file, without the others");
    assert_eq!(archive.content(0).unwrap(), PDF);
    assert!(matches!(archive.content(3), Err(RefusedArchive::Invalid)));
}

#[test]
fn what_the_library_writes_is_read() {
    use std::io::Write;
    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};
    let mut writer = ZipWriter::new(Cursor::new(vec![]));
    writer.add_directory("cvs", SimpleFileOptions::default()).unwrap();
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(format!("cvs/{method}.pdf"), options).unwrap();
        writer.write_all(PDF).unwrap();
    }
    writer.set_comment("of our office").unwrap();
    let archive = writer.finish().unwrap().into_inner();
    let seen = files(archive);
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|(_, content)| content.as_deref() == Ok(PDF)), "{seen:?}");
}

#[test]
fn the_mixed_archive_of_the_fixtures_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/resumes/bulk_mixed.zip");
    let seen = names(std::fs::read(path).unwrap());
    let expected = [
        "p00_single.pdf",
        "p01_two_column.pdf",
        "p02_header.docx",
        "not_a_pdf.pdf",
        "legacy.doc",
        "notes.txt",
        "evil.pdf",
        "P00_SINGLE.PDF",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn folders_and_what_systems_leave_behind_are_passed_over() {
    let left = [
        "cvs/",
        "__MACOSX/cvs/._a.pdf",
        "x/__MACOSX/a.pdf",
        ".DS_Store",
        "cvs/.hidden.pdf",
        "Thumbs.db",
        "cvs\\desktop.ini",
        ".git/cv.pdf",
        "folder\\",
    ];
    let entries: Vec<Made> = left.iter().map(|name| Made::stored(name, b"")).collect();
    assert_eq!(files(archive(&entries)), []);
    assert_eq!(names(archive(&[Made::stored("./cvs/a.pdf", PDF)])), ["a.pdf"]);
    assert_eq!(files(archive(&[])), []);
}

#[test]
fn names_never_become_paths_and_show_no_tricks() {
    let names_of = |name: &[u8]| names(archive(&[Made::stored(name, PDF)])).remove(0);
    for (name, shown) in [
        (b"../../etc/cron.d/x.pdf".as_slice(), "x.pdf"),
        (b"/etc/passwd", "passwd"),
        (b"C:\\Users\\cv.pdf", "cv.pdf"),
        (b"..\\..\\cv.pdf", "cv.pdf"),
        (b"..", ".."),
        (b"cv.pdf\0.exe", "cv.pdf.exe"),
        (b"cv\r\nSet-Cookie: x.pdf", "cvSet-Cookie: x.pdf"),
        ("cv\u{202e}fdp.exe".as_bytes(), "cvfdp.exe"),
        ("cv\u{200b}.pdf".as_bytes(), "cv.pdf"),
        (b"\x1b[2Jcv.pdf", "[2Jcv.pdf"),
        (b"r\x82sum\x82.pdf", "r\u{fffd}sum\u{fffd}.pdf"),
        (b"", "unnamed"),
        ("\u{200b}".as_bytes(), "unnamed"),
        ("履歴書.pdf".as_bytes(), "履歴書.pdf"),
    ] {
        assert_eq!(names_of(name), shown, "{:?}", String::from_utf8_lossy(name));
    }
    let long = names_of(format!("{}.pdf", "x".repeat(900)).as_bytes());
    assert!(long.ends_with("x.pdf") && long.chars().count() <= 200, "{long}");
}

#[test]
fn a_comment_of_any_length_does_no_harm() {
    assert_eq!(names(commented(&[Made::stored("a.pdf", PDF)], &vec![b'x'; 65_535])), ["a.pdf"]);
}
