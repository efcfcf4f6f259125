//! A folder with COCO's `annotations.json`: pictures, boxes, categories; a picture may carry a `level`.
//! Whatever contradicts itself is an error that names the picture or box, never a wrong figure.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Level, Truth};

/// The annotations' name in the folder.
pub const ANNOTATIONS_FILE: &str = "annotations.json";

#[derive(Deserialize)]
struct Raw {
    images: Vec<RawImage>,
    annotations: Vec<RawBox>,
    categories: Vec<RawCategory>,
}

#[derive(Deserialize)]
struct RawImage {
    id: i64,
    file_name: String,
    width: u32,
    height: u32,
    #[serde(default)]
    level: Option<String>,
    #[serde(default)]
    clip: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct RawBox {
    image_id: i64,
    category_id: i64,
    bbox: [f64; 4],
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
struct RawCategory {
    id: i64,
    name: String,
}

/// A picture and what lies in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its file, relative to the folder.
    pub file: PathBuf,
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// How full the tray is, if the annotations say so.
    pub level: Option<Level>,
    /// Its boxes, classes as indices of the labels.
    pub truth: Vec<Truth>,
    /// Pictures of the same tray taken before it, in their order, relative to the folder.
    pub clip: Vec<PathBuf>,
}

/// The pictures in the order of their ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// At least one.
    pub images: Vec<Image>,
}

impl Dataset {
    /// Reads `dir/annotations.json`; categories are matched to `labels` by name.
    ///
    /// # Errors
    /// A sentence that names the file and what in it is wrong.
    pub fn load(dir: &Path, labels: &[String]) -> Result<Self, String> {
        let path = dir.join(ANNOTATIONS_FILE);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(&text, labels).map_err(|m| format!("{}: {m}", path.display()))
    }

    /// As [`Dataset::load`], from the file's text.
    pub fn parse(text: &str, labels: &[String]) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if raw.images.is_empty() {
            return Err("no pictures in it".into());
        }
        let mut categories = HashMap::new();
        for c in &raw.categories {
            let label = labels.iter().position(|l| *l == c.name).ok_or_else(|| {
                format!("category {:?}: the engine has no such label; it has {}", c.name, labels.join(", "))
            })?;
            if categories.insert(c.id, label).is_some() {
                return Err(format!("category id {} stands there twice", c.id));
            }
        }
        let mut images = Vec::with_capacity(raw.images.len());
        let mut files = HashSet::new();
        for i in raw.images {
            let level = match i.level.as_deref() {
                None => None,
                Some(l) => Some(
                    Level::ALL
                        .into_iter()
                        .find(|k| k.as_str() == l)
                        .ok_or_else(|| format!("picture {:?}: level {l:?}: easy, medium or hard", i.file_name))?,
                ),
            };
            if i.width == 0 || i.height == 0 {
                return Err(format!("picture {:?}: {}x{} pixels", i.file_name, i.width, i.height));
            }
            if !files.insert(i.file_name.clone()) {
                return Err(format!("picture {:?} stands there twice", i.file_name));
            }
            let (file, truth) = (PathBuf::from(i.file_name), Vec::new());
            images.push((i.id, Image { file, width: i.width, height: i.height, level, truth, clip: i.clip }));
        }
        images.sort_by_key(|(id, _)| *id);
        if let Some([(id, _), _]) =
            images.windows(2).find_map(|w| <&[_; 2]>::try_from(w).ok().filter(|[a, b]| a.0 == b.0))
        {
            return Err(format!("picture id {id} stands there twice"));
        }
        for (n, b) in raw.annotations.iter().enumerate() {
            let index = images
                .binary_search_by_key(&b.image_id, |(id, _)| *id)
                .map_err(|_| format!("annotation {n}: no picture has the id {}", b.image_id))?;
            let class = *categories
                .get(&b.category_id)
                .ok_or_else(|| format!("annotation {n}: no category has the id {}", b.category_id))?;
            let Some((_, image)) = images.get_mut(index) else { continue };
            let [x, y, w, h] = b.bbox;
            let (width, height) = (f64::from(image.width), f64::from(image.height));
            // Written so that NaN fails too.
            let inside = w > 0.0 && h > 0.0 && x < width && y < height && x + w > 0.0 && y + h > 0.0;
            if !inside {
                let file = image.file.display();
                return Err(format!("annotation {n}: bbox {:?} lies outside of {file} ({width}x{height})", b.bbox));
            }
            image.truth.push(Truth { class, bbox: b.bbox, crowd: b.iscrowd != 0 });
        }
        Ok(Self { images: images.into_iter().map(|(_, i)| i).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"images":[{"id":7,"file_name":"b.jpg","width":10,"height":10},
        {"id":3,"file_name":"a.jpg","width":20,"height":10,"level":"hard","extra":1,"clip":["c/0.jpg","c/1.jpg"]}],
        "categories":[{"id":5,"name":"red"},{"id":2,"name":"green"}],
        "annotations":[{"id":1,"image_id":3,"category_id":2,"bbox":[-1,2,3,4],"area":12,"iscrowd":1},
        {"id":2,"image_id":7,"category_id":5,"bbox":[0,0,10,10]}]}"#;

    fn labels() -> Vec<String> {
        ["red", "green", "blue"].map(String::from).to_vec()
    }

    #[test]
    fn reads_pictures_in_the_order_of_their_ids() {
        let d = Dataset::parse(GOOD, &labels()).unwrap();
        assert_eq!(d.images[0].file, Path::new("a.jpg"));
        assert_eq!((d.images[0].level, d.images[1].level), (Some(Level::Hard), None));
        assert_eq!((&d.images[0].clip[1], d.images[1].clip.len()), (&PathBuf::from("c/1.jpg"), 0));
        assert_eq!(d.images[0].truth, [Truth { class: 1, bbox: [-1.0, 2.0, 3.0, 4.0], crowd: true }]);
        assert_eq!(d.images[1].truth[0].class, 0);
    }

    #[test]
    fn each_contradiction_is_named() {
        for (from, to, word) in [
            ("\"green\"", "\"grün\"", "no such label"),
            ("\"hard\"", "\"harder\"", "harder"),
            ("\"id\":7", "\"id\":3", "id 3 stands there twice"),
            ("\"a.jpg\"", "\"b.jpg\"", "\"b.jpg\" stands there twice"),
            ("\"image_id\":3", "\"image_id\":4", "id 4"),
            ("\"category_id\":2", "\"category_id\":3", "id 3"),
            ("\"id\":2,\"name\"", "\"id\":5,\"name\"", "twice"),
            ("[-1,2,3,4]", "[-5,2,3,4]", "outside of a.jpg"),
            ("[-1,2,3,4]", "[1,2,0,4]", "outside of a.jpg"),
            ("\"width\":20", "\"width\":0", "0x10"),
            ("[-1,2,3,4]", "[1,2,3]", "invalid length"),
            ("\"file_name\":\"b.jpg\",", "", "file_name"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let e = Dataset::parse(&GOOD.replacen(from, to, 1), &labels()).unwrap_err();
            assert!(e.contains(word), "{to}: {e}");
        }
        let none = r#"{"images":[],"annotations":[],"categories":[]}"#;
        assert!(Dataset::parse(none, &labels()).unwrap_err().contains("no pictures"));
        let dir = tempfile::tempdir().unwrap();
        assert!(Dataset::load(dir.path(), &labels()).unwrap_err().contains("annotations.json"));
    }
}
