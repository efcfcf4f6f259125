//! With feature `tensorrt`: compiles the shim against the headers of the machine it is built on or for. Without it
//! there is nothing to do.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "tensorrt")]
    shim::compile();
}

#[cfg(feature = "tensorrt")]
mod shim {
    use std::env::var_os;
    use std::path::PathBuf;

    const HOME: &str = "src/engine/tensorrt";

    /// Folders that may hold NvInfer.h: the one that is named, else JetPack's and Debian's place, in the sysroot where
    /// one is named.
    fn candidates() -> Vec<PathBuf> {
        if let Some(named) = var_os("TENSORRT_INCLUDE") {
            return vec![named.into()];
        }
        let root = PathBuf::from(var_os("TENSORRT_SYSROOT").unwrap_or_else(|| "/".into()));
        let arch = var_os("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
        let triple = format!("usr/include/{}-linux-gnu", arch.to_string_lossy());
        [triple.as_str(), "usr/include", "usr/local/include"].iter().map(|p| root.join(p)).collect()
    }

    pub fn compile() {
        for name in ["TENSORRT_INCLUDE", "TENSORRT_SYSROOT"] {
            println!("cargo::rerun-if-env-changed={name}");
        }
        for file in ["shim.h", "shim.cpp", "cuda/cuda_runtime_api.h"] {
            println!("cargo::rerun-if-changed={HOME}/{file}");
        }
        let candidates = candidates();
        let Some(include) = candidates.iter().find(|p| p.join("NvInfer.h").is_file()) else {
            let looked: Vec<String> = candidates.iter().map(|p| p.display().to_string()).collect();
            println!(
                "cargo::error=feature tensorrt: no NvInfer.h in {}; install TensorRT's headers, or name their folder in \
                 TENSORRT_INCLUDE",
                looked.join(", ")
            );
            return;
        };
        cc::Build::new()
            .cpp(true)
            // JetPack 4 has g++ 7.
            .std("c++14")
            .file(format!("{HOME}/shim.cpp"))
            .include(format!("{HOME}/cuda"))
            // NVIDIA's headers warn about themselves.
            .flag("-isystem")
            .flag(include.to_str().expect("a path in UTF-8"))
            .flag("-Wno-deprecated-declarations")
            .warnings(true)
            .compile("till_tensorrt");
        // In glibc before 2.34 dlopen has a library of its own.
        println!("cargo::rustc-link-lib=dl");
    }
}
