//! Lists the files of `static/` for embedding, so that a new page or script needs no line of Rust.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

/// What is served; anything else in the folder (tests, package files) stays out of the binary.
const KINDS: [&str; 8] = ["html", "js", "css", "svg", "png", "ico", "woff2", "webmanifest"];

fn main() -> io::Result<()> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("static");
    let mut files = Vec::new();
    collect(&folder, "", &mut files)?;
    files.sort();
    let mut list = String::from("&[\n");
    for (name, path) in files {
        writeln!(list, "    ({name:?}, include_bytes!({path:?})),").map_err(io::Error::other)?;
    }
    list.push(']');
    println!("cargo::rerun-if-changed=static");
    fs::write(Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("assets.rs"), list)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if name != "node_modules" {
                collect(&path, &format!("{prefix}{name}/"), files)?;
            }
        } else if path.extension().is_some_and(|e| KINDS.contains(&e.to_string_lossy().as_ref()))
            && !name.contains(".test.")
        {
            files.push((format!("{prefix}{name}"), path.to_string_lossy().into_owned()));
        }
    }
    Ok(())
}
