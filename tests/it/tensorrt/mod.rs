//! Backend `tensorrt`, with feature `tensorrt`: built against whichever headers `TENSORRT_INCLUDE` names, each test
//! runs where its library can be had and says `skipped` elsewhere.

mod acceptance;
mod counter;
mod lifecycle;
mod rtx;
mod stub;
