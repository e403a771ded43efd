//! Names of entries: shown to people, never used as paths.

const MAX_NAME_CHARS: usize = 200;

/// As the archive has it, with one kind of separator.
pub(super) fn path(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).replace('\\', "/")
}

/// What Finder, Explorer and editors put beside the files.
pub(super) fn is_leftover(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| part.starts_with("__MACOSX") || part.starts_with('.') && !matches!(part, "." | ".."))
        || matches!(shown(path).to_lowercase().as_str(), "thumbs.db" | "desktop.ini")
}

/// The last part of the path, without characters that nobody sees or that turn the others around.
pub(super) fn shown(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control() && !is_unseen(*c)).collect();
    if name.chars().count() <= MAX_NAME_CHARS {
        return if name.trim().is_empty() { "unnamed".to_owned() } else { name };
    }
    let (stem, end) = name.rsplit_once('.').filter(|(_, end)| end.len() <= 8).unwrap_or((name.as_str(), ""));
    let stem: String = stem.chars().take(MAX_NAME_CHARS - 9).collect();
    if end.is_empty() { stem } else { format!("{stem}.{end}") }
}

fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

pub(super) fn extension(name: &str) -> String {
    name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).unwrap_or_default()
}
