//! Counts text that a PDF carries beside its pages: properties, notes, and layers that are switched off.
//!
//! None of it is ever emitted. It is counted because other readers do pick it up, which makes it a place to hide text.

use std::collections::HashSet;

use hayro::hayro_syntax::Pdf;
use hayro::hayro_syntax::content::TypedIter;
use hayro::hayro_syntax::content::ops::TypedInstruction;
use hayro::hayro_syntax::object::dict::keys::{
    ANNOTS, BASE_STATE, CONTENTS, D, F, OC, OCGS, OCPROPERTIES, OFF, ON, P, V,
};
use hayro::hayro_syntax::object::{Array, Dict, Name, ObjRef, Object, ObjectIdentifier, Stream, String as PdfString};
use hayro::hayro_syntax::page::Page;

use super::super::Technique;
use super::super::hidden::HiddenTally;
use super::actual_text::decode;

/// Titles and keywords of honest programs are shorter.
const MIN_METADATA_BYTES: usize = 80;
/// Links and form fields carry a few words for people who cannot see them.
const MIN_NOTE_CHARS: usize = 40;
/// Flags of an annotation that no viewer shows.
const HIDDEN_OR_NO_VIEW: i32 = 2 | 32;
/// Operators looked at for each page; what hides behind more than this is hidden well enough to be left out anyway.
const MAX_OPERATORS: usize = 200_000;

pub fn count(pdf: &Pdf, max_pages: usize, hidden: &mut HiddenTally) {
    count_metadata(pdf, hidden);
    let layers_off = layers_off(pdf);
    for page in pdf.pages().iter().take(max_pages) {
        count_notes(page, hidden);
        if !layers_off.is_empty() {
            count_layers(page, &layers_off, hidden);
        }
    }
}

fn count_metadata(pdf: &Pdf, hidden: &mut HiddenTally) {
    let metadata = pdf.metadata();
    for value in [&metadata.title, &metadata.author, &metadata.subject, &metadata.keywords].into_iter().flatten() {
        if value.len() > MIN_METADATA_BYTES {
            hidden.add_text(Technique::Metadata, &decode(value));
        }
    }
}

fn count_notes(page: &Page<'_>, hidden: &mut HiddenTally) {
    let Some(annotations) = page.raw().get::<Array<'_>>(ANNOTS) else { return };
    for annotation in annotations.iter::<Dict<'_>>() {
        // What a field holds is seen in its place, unless the field is not.
        let is_hidden = annotation.get::<i32>(F).is_some_and(|flags| flags & HIDDEN_OR_NO_VIEW != 0);
        let value = annotation.get::<PdfString<'_>>(V).filter(|_| is_hidden);
        for text in [annotation.get::<PdfString<'_>>(CONTENTS), value].into_iter().flatten() {
            let note = decode(text.as_bytes());
            if note.chars().count() > MIN_NOTE_CHARS {
                hidden.add_text(Technique::Annotation, &note);
            }
        }
    }
}

/// Layers that a viewer does not show when the file is opened.
fn layers_off(pdf: &Pdf) -> HashSet<ObjectIdentifier> {
    let mut off = HashSet::new();
    let properties =
        pdf.xref().get::<Dict<'_>>(pdf.xref().root_id()).and_then(|root| root.get::<Dict<'_>>(OCPROPERTIES));
    let Some(properties) = properties else { return off };
    let Some(config) = properties.get::<Dict<'_>>(D) else { return off };
    let listed = |array: Option<Array<'_>>| -> Vec<ObjectIdentifier> {
        let references = array.map(|array| array.raw_iter().filter_map(|item| item.as_obj_ref()).collect::<Vec<_>>());
        references.unwrap_or_default().into_iter().map(ObjectIdentifier::from).collect()
    };
    if config.get::<Name<'_>>(BASE_STATE).is_some_and(|state| state.as_ref() == OFF) {
        off.extend(listed(properties.get(OCGS)));
    }
    for id in listed(config.get(ON)) {
        off.remove(&id);
    }
    off.extend(listed(config.get(OFF)));
    off
}

/// The interpreter never hands out what is in such a layer, so it is counted from the operators: bytes of the strings
/// shown, which is the number of characters for simple fonts and twice that for others.
fn count_layers(page: &Page<'_>, layers_off: &HashSet<ObjectIdentifier>, hidden: &mut HiddenTally) {
    let resources = page.resources();
    let mut open: Vec<bool> = Vec::new(); // for each open stretch of marked content: is it hidden?
    let mut characters = 0;
    let mut operators = page.typed_operations();
    for _ in 0..MAX_OPERATORS {
        let Some(operator) = operators.next() else { break };
        let is_hidden = open.last().copied().unwrap_or(false);
        match operator {
            TypedInstruction::BeginMarkedContent(_) => open.push(is_hidden),
            TypedInstruction::BeginMarkedContentWithProperties(mark) => {
                let name = mark.1.clone().into_name();
                let is_off = name.is_some_and(|name| is_off(&resources.properties, name.as_ref(), layers_off));
                open.push(is_hidden || is_off);
            }
            TypedInstruction::EndMarkedContent(_) => {
                open.pop();
            }
            TypedInstruction::XObject(drawn) => {
                let Some(form) = resources.x_objects.get::<Stream<'_>>(drawn.0) else { continue };
                if is_hidden || is_off(form.dict(), OC, layers_off) {
                    characters += form.decoded_data().map_or(0, |data| characters_of(TypedIter::new(&data)));
                }
            }
            shown if is_hidden => characters += characters_in(&shown),
            _ => {}
        }
    }
    hidden.add(Technique::HiddenLayer, characters);
}

/// Whether the layer that `holder` names is off, or the set of layers by its own rule.
fn is_off(holder: &Dict<'_>, name: &[u8], layers_off: &HashSet<ObjectIdentifier>) -> bool {
    let is_layer_off = |layer: ObjRef| layers_off.contains(&ObjectIdentifier::from(layer));
    if holder.get_ref(name).is_some_and(is_layer_off) {
        return true;
    }
    let Some(set) = holder.get::<Dict<'_>>(name) else { return false };
    let members: Vec<bool> = match (set.get_ref(OCGS), set.get::<Array<'_>>(OCGS)) {
        (_, Some(layers)) => layers.raw_iter().filter_map(|layer| layer.as_obj_ref()).map(is_layer_off).collect(),
        (Some(layer), None) => vec![is_layer_off(layer)],
        (None, None) => return false,
    };
    let (any_off, all_off) = (members.contains(&true), !members.contains(&false));
    match set.get::<Name<'_>>(P).as_ref().map_or(b"AnyOn".as_slice(), AsRef::as_ref) {
        b"AllOn" => any_off,
        b"AnyOff" => !any_off,
        b"AllOff" => !all_off,
        _ => all_off && any_off,
    }
}

fn characters_of(mut operators: TypedIter<'_>) -> usize {
    let mut characters = 0;
    for _ in 0..MAX_OPERATORS {
        let Some(operator) = operators.next() else { break };
        characters += characters_in(&operator);
    }
    characters
}

/// Bytes of the text that an operator shows.
fn characters_in(operator: &TypedInstruction<'_, '_>) -> usize {
    match operator {
        TypedInstruction::ShowText(shown) => shown.0.as_bytes().len(),
        TypedInstruction::NextLineAndShowText(shown) => shown.0.as_bytes().len(),
        TypedInstruction::ShowTextWithParameters(shown) => shown.2.as_bytes().len(),
        TypedInstruction::ShowTexts(shown) => {
            let strings = shown.0.iter::<Object<'_>>().filter_map(Object::into_string);
            strings.map(|string| string.as_bytes().len()).sum()
        }
        _ => 0,
    }
}
