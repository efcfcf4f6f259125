//! Pictures painted for the test engine `blobs`, and what is measured on them.

use super::*;

/// Pictures for the test engine `blobs`: squares of 32 pixels in frames of 128x96.
fn write_data(dir: &Path) {
    let square = |picture: &mut image::RgbImage, x0: u32, y0: u32, colour| {
        (0..32 * 32).for_each(|i| picture.put_pixel(x0 + i % 32, y0 + i / 32, image::Rgb(colour)));
    };
    for (name, squares) in [
        ("right.png", vec![(16, 16, [255, 0, 0]), (80, 48, [0, 255, 0])]),
        // The annotations know of one item that isn't there.
        ("wrong.png", vec![(16, 16, [255, 0, 0]), (80, 48, [255, 255, 255])]),
    ] {
        let mut picture = image::RgbImage::new(128, 96);
        squares.into_iter().for_each(|(x, y, c)| square(&mut picture, x, y, c));
        picture.save(dir.join(name)).unwrap();
    }
    let text = r#"{"images":[{"id":1,"file_name":"right.png","width":128,"height":96,"level":"easy"},
        {"id":2,"file_name":"wrong.png","width":128,"height":96}],
        "categories":[{"id":1,"name":"red"},{"id":2,"name":"green"}],
        "annotations":[{"image_id":1,"category_id":1,"bbox":[16,16,32,32]},
        {"image_id":1,"category_id":2,"bbox":[80,48,32,32]},
        {"image_id":2,"category_id":1,"bbox":[16,16,32,32]},{"image_id":2,"category_id":1,"bbox":[60,60,20,20]}]}"#;
    std::fs::write(dir.join("annotations.json"), text).unwrap();
}

fn args(data: &Path) -> EvalTrayArgs {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs");
    let (report, curve) = (Some(data.join("report.html")), Some(data.join("curve.svg")));
    let data = data.to_path_buf();
    EvalTrayArgs {
        engine,
        data,
        backend: Backend::Rten,
        ort_dylib: None,
        threads: 1,
        clips: false,
        json: true,
        report,
        curve,
    }
}

#[test]
fn figures_and_report_of_two_pictures() {
    let dir = tempfile::tempdir().unwrap();
    write_data(dir.path());
    let mut out = Vec::new();
    assert_eq!(run(&args(dir.path()), &mut out).unwrap(), Exit::Ok);
    let v: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&v["schema"], &v["images"]), (&json!("till.eval-tray/1"), &json!(2)));
    let acc = |level: &str| v["levels"][level]["cAcc"].clone();
    assert_eq!((acc("easy"), acc("medium"), acc("all")), (json!(1.0), Value::Null, json!(0.5)));
    // Red: 2 of 3 found at full precision, which is 67 of 101 recalls; green: all.
    let map50 = v["mAP50"].as_f64().unwrap();
    assert!((map50 - (67.0 / 101.0 + 1.0) / 2.0).abs() < 1e-6, "{map50}");
    assert!(v["wrong"][0].as_str().unwrap().ends_with("wrong.png") && v["ms_per_image"].as_f64().unwrap() > 0.0);
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(page.contains("1 wrong carts") && page.contains("wrong.png") && !page.contains("right.png"));
    // The page can be mailed: the picture is in it, and no path of this machine.
    assert!(page.contains("href=\"data:image/jpeg;base64,/9j/"));
    assert!(!page.contains("file:") && !page.contains(&*dir.path().to_string_lossy()));
    // The white square is goods without a label: that cart is not charged at all.
    let sure = &v["rejection"]["curve"];
    assert_eq!((&sure[0]["wrong_per_1000"], &sure[0]["attention_per_1000"]), (&json!(0.0), &json!(500.0)));
    assert_eq!(sure.as_array().unwrap().len(), 101);
    assert!(std::fs::read_to_string(dir.path().join("curve.svg")).unwrap().contains("sure = "));
    let mut text = Vec::new();
    run(&EvalTrayArgs { json: false, ..args(dir.path()) }, &mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("easy           1   100.00"));
}

#[test]
fn what_is_wrong_with_the_data_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = || run(&args(dir.path()), &mut Vec::new()).unwrap_err();
    assert!(error().message.contains("annotations.json"));
    write_data(dir.path());
    let picture = dir.path().join("wrong.png");
    image::RgbImage::new(96, 128).save(&picture).unwrap();
    assert!(error().message.contains("is 96x128 when upright, the annotations say 128x96"));
    std::fs::write(&picture, "no picture").unwrap();
    assert!(error().message.contains("wrong.png"));
    std::fs::remove_file(&picture).unwrap();
    let e = error();
    assert!(e.exit == Exit::Failed && e.message.contains("wrong.png"));
    let engine = dir.path().to_path_buf();
    assert_eq!(run(&EvalTrayArgs { engine, ..args(dir.path()) }, &mut Vec::new()).unwrap_err().exit, Exit::Config);
}

/// `run` over one picture with the annotations given, `WxH` and `FILE` filled in.
fn one(bytes: &[u8], file: &str, (width, height): (u32, u32), boxes: &str, level: &str) -> Result<Value, CliError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(file), bytes).unwrap();
    let text = format!(
        r#"{{"images":[{{"id":1,"file_name":"{file}","width":{width},"height":{height}{level}}}],
        "categories":[{{"id":1,"name":"red"}},{{"id":2,"name":"green"}},{{"id":3,"name":"__hand__"}}],"annotations":[{boxes}]}}"#
    );
    std::fs::write(dir.path().join("annotations.json"), text).unwrap();
    let mut out = Vec::new();
    run(&args(dir.path()), &mut out).map(|_| serde_json::from_slice(&out).unwrap())
}

fn png(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(colour(x, y)));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn pictures_of_every_kind_and_size_are_measured() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures");
    for name in ["grey.png", "rgb16.png", "rgba.png", "palette.png", "cmyk.jpg", "rotated.jpg"] {
        let v = one(&std::fs::read(files.join(name)).unwrap(), name, (48, 32), "", "").unwrap();
        assert_eq!(v["images"], json!(1), "{name}");
    }
    assert_eq!(
        one(&png(1, 1, |_, _| [9, 8, 7]), "p.png", (1, 1), "", "").unwrap()["levels"]["all"]["cAcc"],
        json!(1.0)
    );
    // A large one is as right as a small one: a red square of the same share of the frame.
    let red = |w: u32, h: u32| {
        move |x, y| {
            if (w / 8..w * 3 / 8).contains(&x) && (h / 6..h / 2).contains(&y) { [255, 0, 0] } else { [0; 3] }
        }
    };
    for (w, h) in [(128, 96), (8000, 6000)] {
        let truth = format!(r#"{{"image_id":1,"category_id":1,"bbox":[{},{},{},{}]}}"#, w / 8, h / 6, w / 4, h / 3);
        let v = one(&png(w, h, red(w, h)), "p.png", (w, h), &truth, r#","level":"hard""#).unwrap();
        assert_eq!((&v["levels"]["hard"]["cAcc"], &v["mAP50"]), (&json!(1.0), &json!(1.0)), "{w}x{h}");
    }
}

#[test]
fn annotations_at_the_limits_are_measured_and_beyond_them_named() {
    let red = || png(128, 96, |x, y| if (16..48).contains(&x) && (16..48).contains(&y) { [255, 0, 0] } else { [0; 3] });
    let there = r#"{"image_id":1,"category_id":1,"bbox":[16,16,32,32]}"#;
    let measure = |boxes: &str, level: &str| one(&red(), "p.png", (128, 96), boxes, level);
    // Without a level, or with none: in the sum only. A hand is no item; a box over the edge is one.
    for level in ["", r#","level":null"#] {
        let v = measure(there, level).unwrap();
        assert_eq!((&v["levels"]["all"]["cAcc"], &v["levels"]["easy"]["cAcc"]), (&json!(1.0), &Value::Null));
    }
    let hand = format!(r#"{there},{{"image_id":1,"category_id":3,"bbox":[60,60,90,90]}}"#);
    let v = measure(&hand, "").unwrap();
    assert_eq!((&v["levels"]["all"]["cAcc"], &v["confusion"]["table"][3][3]), (&json!(1.0), &json!(0)));
    let over = format!(r#"{there},{{"image_id":1,"category_id":2,"bbox":[-20,80,60,60]}}"#);
    assert_eq!(measure(&over, "").unwrap()["levels"]["all"]["ACD"], json!(1.0));
    for (boxes, level, word) in [
        (r#"{"image_id":1,"category_id":1,"bbox":[128,0,5,5]}"#, "", "lies outside of p.png (128x96)"),
        (r#"{"image_id":1,"category_id":1,"bbox":[0,0,-5,5]}"#, "", "lies outside of p.png"),
        (r#"{"image_id":1,"category_id":1,"bbox":[0,0,1e999,5]}"#, "", "annotations.json"),
        (r#"{"image_id":2,"category_id":1,"bbox":[0,0,5,5]}"#, "", "no picture has the id 2"),
        (r#"{"image_id":1,"category_id":9,"bbox":[0,0,5,5]}"#, "", "no category has the id 9"),
        (there, r#","level":"Easy""#, "level \"Easy\": easy, medium or hard"),
    ] {
        let e = measure(boxes, level).unwrap_err();
        assert!(e.exit == Exit::Failed && e.message.contains(word), "{boxes}: {}", e.message);
    }
}

/// A tray in which a red square is put down, then all but covered in the last picture: single it is missed.
#[test]
fn a_clip_counts_what_its_pictures_agree_on() {
    let dir = tempfile::tempdir().unwrap();
    let paint = |name: &str, colour: [u8; 3]| {
        let at = |x, y| if (16..48).contains(&x) && (16..48).contains(&y) { colour } else { [0; 3] };
        std::fs::write(dir.path().join(name), png(128, 96, at)).unwrap();
    };
    let clip: Vec<String> = (0..20).map(|i| format!("{i:02}.png")).collect();
    clip.iter().for_each(|name| paint(name, [255, 0, 0]));
    paint("last.png", [90, 0, 0]);
    let text = json!({
        "images": [{ "id": 1, "file_name": "last.png", "width": 128, "height": 96, "level": "easy", "clip": clip }],
        "categories": [{ "id": 1, "name": "red" }],
        "annotations": [{ "image_id": 1, "category_id": 1, "bbox": [16, 16, 32, 32] }],
    });
    std::fs::write(dir.path().join("annotations.json"), text.to_string()).unwrap();
    for (clips, right) in [(false, 0.0), (true, 1.0)] {
        let mut out = Vec::new();
        run(&EvalTrayArgs { clips, ..args(dir.path()) }, &mut out).unwrap();
        let v: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&v["images"], &v["levels"]["easy"]["cAcc"]), (&json!(1), &json!(right)), "clips {clips}");
        let at_none = &v["rejection"]["curve"][0];
        assert_eq!(at_none["attention_per_1000"], json!(if clips { 0.0 } else { 1000.0 }), "clips {clips}");
    }
}

#[test]
fn an_engine_of_another_task_is_refused() {
    let (data, engine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_data(data.path());
    let blobs = args(data.path()).engine;
    for file in std::fs::read_dir(&blobs).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), engine.path().join(file.file_name())).unwrap();
    }
    let manifest = std::fs::read_to_string(blobs.join("manifest.toml")).unwrap();
    for task in ["embed", "classify"] {
        let text = manifest.replace("task = \"detect\"", &format!("task = {task:?}"));
        assert_ne!(text, manifest);
        std::fs::write(engine.path().join("manifest.toml"), text).unwrap();
        let refused = EvalTrayArgs { engine: engine.path().to_path_buf(), ..args(data.path()) };
        let e = run(&refused, &mut Vec::new()).unwrap_err();
        assert!(e.exit == Exit::Config && e.message.contains(task), "{}", e.message);
    }
}
