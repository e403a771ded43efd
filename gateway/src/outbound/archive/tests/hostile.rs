//! One test a trick.

use super::{
    DAMAGED, MAX_ENTRIES, MAX_FILE_BYTES, PDF, TOO_LARGE, files,
    made::{self, Made, archive, body, commented, deflate, end, size},
    names, refused, skipped,
};

const TWENTY_MB: usize = 20 << 20;

#[test]
fn a_bomb_of_one_file_is_refused() {
    assert_eq!(refused(archive(&[Made::zeros("bomb.pdf", TWENTY_MB + 1)])), "too large");
}

#[test]
fn a_bomb_that_lies_about_its_size_is_refused() {
    let bomb = Made { claimed_bytes: 10, ..Made::zeros("bomb.pdf", 60 << 20) };
    assert_eq!(refused(archive(&[bomb])), "too large");
}

#[test]
fn a_bomb_behind_good_files_is_refused_as_a_whole() {
    let mut entries = vec![Made::stored("good.pdf", PDF); 900];
    entries.push(Made::zeros("bomb.pdf", 60 << 20));
    assert_eq!(refused(archive(&entries)), "too large");
}

#[test]
fn many_files_below_the_bound_are_a_bomb_together() {
    let one = Made::zeros("a.pdf", TWENTY_MB);
    assert_eq!(refused(archive(&vec![one; 11])), "too large");
}

#[test]
fn a_claim_of_four_gigabytes_costs_nothing() {
    let liar = Made { claimed_bytes: u32::MAX - 1, ..Made::deflated("a.pdf", PDF) };
    assert_eq!(skipped(liar), DAMAGED);
}

#[test]
fn a_file_too_large_for_a_resume_is_skipped() {
    let bytes = usize::try_from(MAX_FILE_BYTES).unwrap();
    assert_eq!(skipped(Made::zeros("a.pdf", bytes + 1)), TOO_LARGE);
    assert_eq!(files(archive(&[Made::zeros("a.pdf", bytes)]))[0].1.as_ref().map(Vec::len), Ok(bytes));
}

#[test]
fn entries_that_share_their_bytes_are_refused() {
    let kernel = Made::zeros("0.pdf", 1 << 20);
    let mut entries = vec![kernel.clone()];
    for number in 1..900 {
        entries.push(Made { name: format!("{number}.pdf").into_bytes(), local_at: Some(0), ..kernel.clone() });
    }
    assert_eq!(refused(archive(&entries)), "invalid");
}

#[test]
fn entries_that_quote_each_others_headers_are_refused() {
    // The full overlap of a quoting bomb: the first entry's data begins before the second's header and ends with it.
    let inner = Made::stored("b.pdf", PDF);
    let (inner_body, at, _) = body(std::slice::from_ref(&inner));
    let outer = Made::stored("a.pdf", &inner_body[..at as usize]);
    let header_bytes = size(30 + "a.pdf".len());
    assert_eq!(refused(archive(&[outer, Made { local_at: Some(header_bytes), ..inner }])), "invalid");
}

#[test]
fn a_nested_archive_is_not_opened() {
    let inner = archive(&[Made::zeros("bomb.pdf", TWENTY_MB)]);
    assert_eq!(skipped(Made::stored("inner.zip", &inner)), "ZIP archives inside a ZIP archive are not opened.");
    assert_eq!(skipped(Made::stored("INNER.ZIP", &inner)), "ZIP archives inside a ZIP archive are not opened.");
}

#[test]
fn an_archive_that_contains_itself_is_not_followed() {
    let mut quine = archive(&[Made::stored("a.pdf", PDF)]);
    for _ in 0..12 {
        quine = archive(&[Made::stored("quine.zip", &quine)]);
    }
    assert_eq!(files(quine).len(), 1);
}

#[test]
fn two_hundred_thousand_entries_are_refused() {
    let entries = vec![Made { packed: vec![], ..Made::stored("a.pdf", b"") }; 200_000];
    let (file, at, bytes) = body(&entries);
    for claimed in [1, 1_000, 1_001, 0x0d40, u16::MAX] {
        let mut file = file.clone();
        file.extend(end(claimed, bytes, at, b""));
        let refusal = refused(file);
        assert_eq!(refusal, if usize::from(claimed) > MAX_ENTRIES { "too many entries" } else { "invalid" });
    }
}

#[test]
fn one_entry_too_many_is_refused_and_the_last_that_may_be_is_read() {
    let entries = vec![Made::stored("a.pdf", PDF); MAX_ENTRIES + 1];
    assert_eq!(refused(archive(&entries)), "too many entries");
    assert_eq!(names(archive(&entries[1..])).len(), MAX_ENTRIES);
}

#[test]
fn a_directory_with_more_or_fewer_entries_than_it_says_is_refused() {
    let (file, at, bytes) = body(&vec![Made::stored("a.pdf", PDF); 3]);
    for claimed in [0, 1, 2, 4, 999] {
        let mut file = file.clone();
        file.extend(end(claimed, bytes, at, b""));
        assert_eq!(refused(file), "invalid", "{claimed}");
    }
}

#[test]
fn names_that_fill_the_memory_are_refused() {
    let entries = vec![Made::stored("x".repeat(65_000), PDF); 500];
    assert_eq!(refused(archive(&entries)), "invalid");
    let entries = vec![Made { extra: vec![0; 65_000], ..Made::stored("a.pdf", PDF) }; 500];
    assert_eq!(refused(archive(&entries)), "invalid");
}

#[test]
fn claims_of_zip64_are_refused() {
    let (file, at, bytes) = body(&[Made::stored("a.pdf", PDF)]);
    let record = [
        b"PK\x06\x06".as_slice(),
        &44_u64.to_le_bytes(),
        &[45, 0, 45, 0],
        &[0; 8],
        &(1_u64 << 40).to_le_bytes(),
        &(1_u64 << 40).to_le_bytes(),
        &(1_u64 << 50).to_le_bytes(),
        &u64::from(at).to_le_bytes(),
    ]
    .concat();
    let locator = [b"PK\x06\x07".as_slice(), &[0; 4], &u64::from(at + bytes).to_le_bytes(), &[1, 0, 0, 0]].concat();
    for ending in [end(1, bytes, at, b""), end(u16::MAX, u32::MAX, u32::MAX, b""), end(1, u32::MAX, at, b"")] {
        let refusal = refused([file.as_slice(), &record, &locator, &ending].concat());
        assert!(["invalid", "too many entries"].contains(&refusal));
    }
    // In the entry: sizes and place that are to be looked up in a field of 64 bits.
    let extra = [&[1, 0, 24, 0][..], &[0xff; 24]].concat();
    for liar in [
        Made { claimed_packed: u32::MAX, extra: extra.clone(), ..Made::stored("a.pdf", PDF) },
        Made { local_at: Some(u32::MAX), extra, ..Made::stored("a.pdf", PDF) },
    ] {
        assert_eq!(refused(archive(&[liar])), "invalid");
    }
}

#[test]
fn a_directory_in_the_comment_is_no_second_truth() {
    // A reader that looks for the last mark sees `b.pdf`, one that looks for the first sees `a.pdf`.
    let honest = [Made::stored("a.pdf", PDF)];
    let fake = end(1_000, 46, 0, b"");
    assert_eq!(names(commented(&honest, &[fake.as_slice(), b"rest of the comment"].concat())), ["a.pdf"]);
    assert_eq!(refused(commented(&honest, &fake)), "invalid");
    let marks = b"PK\x05\x06".repeat(16_000);
    assert_eq!(names(commented(&honest, &marks)), ["a.pdf"]);
    let ends = fake.repeat(2_900);
    assert_eq!(refused(commented(&honest, &ends)), "invalid");
}

#[test]
fn symbolic_links_and_devices_are_skipped() {
    for mode in [0o120_777, 0o020_644, 0o060_644, 0o010_644, 0o140_644] {
        let link = Made { mode, ..Made::stored("cv.pdf", b"/etc/passwd") };
        assert_eq!(skipped(link), "The entry is a link or a device, not a file.", "{mode:o}");
    }
}

#[test]
fn encrypted_entries_are_skipped() {
    for (flags, method) in [(1, 0), (1, 8), (0x41, 8), (1, 99)] {
        let locked = Made { flags, method, ..Made::stored("cv.pdf", PDF) };
        assert_eq!(skipped(locked), "The file is protected by a password.");
    }
}

#[test]
fn unsupported_methods_are_skipped() {
    for method in [1, 6, 9, 12, 14, 93, 95, 97, 98, u16::MAX] {
        let packed = Made { method, ..Made::stored("cv.pdf", PDF) };
        assert_eq!(skipped(packed), "The file is packed in a way that is not supported.", "{method}");
    }
}

#[test]
fn a_wrong_checksum_is_damage() {
    for honest in [Made::stored("cv.pdf", PDF), Made::deflated("cv.pdf", PDF)] {
        assert_eq!(skipped(Made { checksum: honest.checksum ^ 1, ..honest }), DAMAGED);
    }
}

#[test]
fn a_wrong_size_is_damage() {
    for honest in [Made::stored("cv.pdf", PDF), Made::deflated("cv.pdf", PDF)] {
        for claimed_bytes in [0, honest.claimed_bytes - 1, honest.claimed_bytes + 1] {
            assert_eq!(skipped(Made { claimed_bytes, ..honest.clone() }), DAMAGED);
        }
    }
}

#[test]
fn bytes_that_are_no_deflate_stream_are_damage() {
    let noise: Vec<u8> = (0..10_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    for packed in [noise, vec![], vec![0xff; 100], deflate(PDF)[..8].to_vec()] {
        let claimed_packed = size(packed.len());
        let broken = Made { packed, claimed_packed, ..Made::deflated("cv.pdf", PDF) };
        assert_eq!(skipped(broken), DAMAGED);
    }
}

#[test]
fn a_deflate_stream_inside_another_is_inflated_once() {
    let twice = deflate(&deflate(&vec![0; 1 << 20]));
    let bomb = Made { claimed_packed: size(twice.len()), packed: twice, ..Made::zeros("cv.pdf", 1 << 20) };
    assert_eq!(skipped(bomb), DAMAGED);
}

#[test]
fn endless_empty_blocks_come_to_their_end() {
    // Stored blocks of no bytes, five bytes each, and never the last: much to read, nothing to get.
    let packed = b"\x00\x00\x00\xff\xff".repeat(4 << 20);
    let slow = Made { claimed_packed: size(packed.len()), packed, ..Made::deflated("cv.pdf", PDF) };
    assert_eq!(skipped(slow), DAMAGED);
}

#[test]
fn data_beyond_the_directory_is_refused() {
    for claimed_packed in [1_000, u32::MAX / 2, u32::MAX] {
        assert_eq!(refused(archive(&[Made { claimed_packed, ..Made::stored("a.pdf", PDF) }])), "invalid");
    }
    for local_at in [10_000, u32::MAX / 2, 1] {
        let entries = [Made::stored("a.pdf", PDF), Made { local_at: Some(local_at), ..Made::stored("b.pdf", PDF) }];
        assert_eq!(refused(archive(&entries)), "invalid");
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let whole = archive(&[Made::stored("a.pdf", PDF), Made::deflated("b.pdf", PDF)]);
    for length in 0..whole.len() {
        assert_eq!(refused(whole[..length].to_vec()), "invalid", "cut to {length} bytes");
    }
}

#[test]
fn one_byte_altered_anywhere_does_no_harm() {
    let whole = archive(&[Made::stored("a.pdf", PDF), Made::deflated("b.pdf", &PDF.repeat(20))]);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut altered = whole.clone();
            altered[at] ^= 1 << bit;
            let _ = super::read(altered); // neither a panic nor a long time
        }
    }
}

#[test]
fn junk_before_or_behind_the_archive_is_refused() {
    let whole = archive(&[Made::stored("a.pdf", PDF)]);
    assert_eq!(refused([PDF, &whole].concat()), "invalid");
    assert_eq!(refused([b"MZ a program that unpacks itself".as_slice(), &whole].concat()), "invalid");
    assert_eq!(refused([b"PK\x03\x04".as_slice(), &whole].concat()), "invalid");
    assert_eq!(refused([&whole, b"junk".as_slice()].concat()), "invalid");
    assert_eq!(refused([&whole, vec![0; 100_000].as_slice()].concat()), "invalid");
    assert_eq!(refused([&whole, whole.as_slice()].concat()), "invalid");
}

#[test]
fn what_is_no_archive_is_refused() {
    for bytes in [
        b"".as_slice(),
        b"PK",
        b"PK\x03\x04",
        b"%PDF-1.7",
        b"hello",
        &[0; 1_000],
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!\x1a\x07\x00",
        b"\x1f\x8b\x08\x00",
    ] {
        assert_eq!(refused(bytes.to_vec()), "invalid", "{bytes:?}");
    }
}

#[test]
fn archives_on_several_disks_are_refused() {
    let (file, at, bytes) = body(&[Made::stored("a.pdf", PDF)]);
    for disk in [4, 6, 8] {
        let mut ending = end(1, bytes, at, b"");
        ending[disk] ^= 2;
        assert_eq!(refused([file.as_slice(), &ending].concat()), "invalid");
    }
}

#[test]
fn duplicate_names_are_two_files() {
    let entries = [Made::stored("cv.pdf", b"%PDF-1"), Made::stored("cv.pdf", b"%PDF-2")];
    let contents: Vec<_> = files(archive(&entries)).into_iter().map(|(_, content)| content.unwrap()).collect();
    assert_eq!(contents, [b"%PDF-1", b"%PDF-2"]);
}

#[test]
fn the_directory_decides_on_names_not_the_local_header() {
    let two_names = Made { local_name: Some(b"../../evil.sh".to_vec()), ..Made::stored("cv.pdf", PDF) };
    assert_eq!(names(archive(&[two_names])), ["cv.pdf"]);
}

#[test]
fn a_folder_with_content_is_a_folder() {
    assert_eq!(files(archive(&[Made::zeros("folder.pdf/", TWENTY_MB * 2)])), []);
}

#[test]
fn a_checksum_of_the_test_is_that_of_the_format() {
    assert_eq!(made::checksum(b"123456789"), 0xcbf4_3926);
}
