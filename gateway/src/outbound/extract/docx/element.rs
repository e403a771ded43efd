//! Which elements of a DOCX matter for reading, and which are passed over with all that they hold.

use quick_xml::events::BytesStart;
use quick_xml::name::{Namespace, NamespaceResolver, QName, ResolveResult};

use super::xml::attribute;

/// Word leaves out what it finds in any other namespace, so no person sees it.
const KNOWN_NAMESPACES: [&str; 4] = [
    "http://schemas.openxmlformats.org/",
    "http://schemas.microsoft.com/office/",
    "http://purl.oclc.org/ooxml/",
    "urn:schemas-microsoft-com:",
];

/// Elements that matter; all others only hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Paragraph,
    ParagraphProperties,
    Run,
    RunProperties,
    TextFill,
    Text,
    Table,
    TableProperties,
    Row,
    RowProperties,
    Cell,
    CellProperties,
    /// Where a drawing is placed, and whether it shows.
    Anchor,
    AnchorAcross,
    AnchorDown,
    AnchorOffset,
    /// Several shapes of the older kind, placed together.
    Group,
    Shape,
    ShapeProperties,
    ShapeStyle,
    ShapeFill,
    TextBox,
    Alternatives,
    Other,
}

impl Element {
    /// What an element is, by its local name and what it stands in.
    pub fn of(name: &str, parent: Option<Self>) -> Self {
        match (name, parent) {
            ("textFill", Some(Self::RunProperties)) | (_, Some(Self::TextFill)) => Self::TextFill,
            ("p", _) => Self::Paragraph,
            ("pPr", Some(Self::Paragraph)) => Self::ParagraphProperties,
            ("r", _) => Self::Run,
            ("rPr", Some(Self::Run)) => Self::RunProperties,
            ("t", Some(Self::Run)) => Self::Text,
            ("tbl", _) => Self::Table,
            ("tblPr", Some(Self::Table)) => Self::TableProperties,
            ("tr", _) => Self::Row,
            ("trPr", Some(Self::Row)) => Self::RowProperties,
            ("tc", _) => Self::Cell,
            ("tcPr", Some(Self::Cell)) => Self::CellProperties,
            ("anchor" | "inline", _) => Self::Anchor,
            ("positionH", Some(Self::Anchor)) => Self::AnchorAcross,
            ("positionV", Some(Self::Anchor)) => Self::AnchorDown,
            ("posOffset", _) => Self::AnchorOffset,
            ("group", _) => Self::Group,
            ("wsp" | "shape" | "rect" | "roundrect", _) => Self::Shape,
            ("spPr", Some(Self::Shape)) => Self::ShapeProperties,
            ("style", Some(Self::Shape)) => Self::ShapeStyle,
            ("solidFill" | "gradFill", Some(Self::ShapeProperties))
            | ("fillRef", Some(Self::ShapeStyle))
            | ("gsLst" | "gs", Some(Self::ShapeFill)) => Self::ShapeFill,
            ("txbxContent", _) => Self::TextBox,
            ("AlternateContent", _) => Self::Alternatives,
            _ => Self::Other,
        }
    }
}

/// Why an element is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Not part of what the document says: deletions, field codes, alternatives that are not used.
    Quietly,
    /// Word shows none of it.
    Hidden,
}

impl Skip {
    /// Whether and why this element is passed over. `decided` tells whether the alternatives around it have been
    /// decided, and takes note when this one decides them.
    pub fn of(element: &BytesStart<'_>, resolver: &NamespaceResolver, decided: Option<&mut bool>) -> Option<Self> {
        if !is_known(element.name(), resolver) {
            return Some(Self::Hidden);
        }
        match (element.local_name().as_ref(), decided) {
            ("del" | "moveFrom" | "instrText" | "delInstrText", _) => Some(Self::Quietly),
            ("Choice", Some(decided)) => {
                let is_chosen = !*decided && is_understood(element, resolver);
                *decided |= is_chosen;
                if is_chosen { None } else { Some(Self::Quietly) }
            }
            ("Fallback", Some(decided)) => decided.then_some(Self::Quietly),
            _ => None,
        }
    }
}

/// Whether Word knows each of the namespaces that an alternative requires.
fn is_understood(choice: &BytesStart<'_>, resolver: &NamespaceResolver) -> bool {
    let required = attribute(choice, "Requires").unwrap_or_default();
    required.split_whitespace().all(|prefix| is_known(QName(&format!("{prefix}:any")), resolver))
}

fn is_known(name: QName<'_>, resolver: &NamespaceResolver) -> bool {
    match resolver.resolve_element(name).0 {
        ResolveResult::Bound(Namespace(uri)) => KNOWN_NAMESPACES.iter().any(|known| uri.starts_with(known)),
        ResolveResult::Unbound | ResolveResult::Unknown(_) => false,
    }
}
