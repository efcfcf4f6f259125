//! GStreamer as a camera: a file, an RTSP camera, a CSI camera of a Jetson, or any pipeline of one's own.
//! Live, the newest frame wins inside GStreamer too (one buffer, older ones dropped); in lock-step every
//! frame arrives and the file waits for the reader. One copy a frame, into memory that is already there.
//! It must never show a camera's password in a message.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use gstreamer_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};

use super::clock::monotonic_ns;
use super::{CaptureError, CaptureErrorKind, Frame, Matrix, Opener, PixelFormat, Plane, Read, Stream};

/// What vision reads; whatever comes otherwise is converted by `videoconvert`, which passes these through.
const CAPS: &str = "video/x-raw,format=(string){YUY2,NV12,I420,RGB,BGR,BGRx,GRAY8}";
/// An error on the bus doesn't wake a waiting sink, so waits are cut into pieces of this.
const SLICE: Duration = Duration::from_millis(50);
/// `decodebin` swallows the error of a container without streams and then waits for ever: a file that
/// shows nothing for this long has no picture.
const FIRST_PICTURE_MAX: Duration = Duration::from_secs(10);

/// Where the pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A recording in any container and codec that the installed plugins know.
    File(PathBuf),
    /// `rtsp://...`, the user and password in it if need be.
    Rtsp(String),
    /// A CSI camera through NVIDIA's Argus.
    Csi {
        /// Number of the sensor.
        sensor: u32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Frames a second.
        fps: u32,
    },
    /// The text of a pipeline as for `gst-launch-1.0`, without its sink.
    Pipeline(String),
}

/// How a source's time relates to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the source's own speed, older frames dropped; capture times are CLOCK_MONOTONIC.
    Live,
    /// Every frame, as fast as it is read; capture times are the recording's own, from 0.
    LockStep,
}

/// Opens a GStreamer pipeline.
#[derive(Clone, Debug)]
pub struct GstOpener {
    camera: String,
    source: Source,
    pace: Pace,
    first_picture_max: Duration,
}

impl GstOpener {
    /// An opener for the camera called `camera`. GStreamer looks through its plugins here and not at the first `open`:
    /// on a fresh box that takes longer than a thread may be silent.
    pub fn new(camera: impl Into<String>, source: Source, pace: Pace) -> Self {
        // What is wrong with it, `open` says.
        let _ = gst::init();
        Self { camera: camera.into(), source, pace, first_picture_max: FIRST_PICTURE_MAX }
    }

    /// The pipeline's text, without what is set as a property (locations are not quoted into it).
    fn text(&self) -> String {
        let source = match &self.source {
            Source::File(_) => "filesrc name=till-source ! decodebin".to_owned(),
            Source::Rtsp(_) => "rtspsrc name=till-source protocols=tcp latency=100 drop-on-latency=true ! \
                 application/x-rtp,media=video ! decodebin"
                .to_owned(),
            Source::Csi { sensor, width, height, fps } => format!(
                "nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),format=NV12,width={width},\
                 height={height},framerate={fps}/1 ! nvvidconv ! video/x-raw,format=NV12"
            ),
            Source::Pipeline(text) => text.trim().trim_end_matches('!').to_owned(),
        };
        format!("{source} ! videoconvert ! appsink name=till-sink")
    }

    /// What a message calls the source.
    fn place(&self) -> String {
        match &self.source {
            Source::File(path) => path.display().to_string(),
            Source::Rtsp(url) => redacted(url),
            Source::Csi { sensor, .. } => format!("CSI sensor {sensor}"),
            Source::Pipeline(text) => format!("pipeline \"{text}\""),
        }
    }

    fn error(&self, kind: CaptureErrorKind, message: impl std::fmt::Display) -> CaptureError {
        let mut message = format!("{}: {message}", self.place());
        if let Source::Rtsp(url) = &self.source {
            message = message.replace(url.as_str(), &redacted(url));
        }
        CaptureError::new(kind, &self.camera, message)
    }

    fn check_file(&self) -> Result<(), CaptureError> {
        let Source::File(path) = &self.source else { return Ok(()) };
        match std::fs::File::open(path).and_then(|f| f.metadata()) {
            Ok(meta) if meta.is_file() && meta.len() > 0 => Ok(()),
            Ok(meta) if meta.is_file() => {
                Err(self.error(CaptureErrorKind::Unreadable, "the file is empty; copy or record it again"))
            }
            Ok(_) => Err(self.error(CaptureErrorKind::Unreadable, "is not a file; name the recording itself")),
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(self.error(CaptureErrorKind::Denied, format!("{e}; let the daemon's user read it")))
            }
            Err(e) => Err(self.error(CaptureErrorKind::Missing, format!("{e}; check the path in the configuration"))),
        }
    }
}

impl Opener for GstOpener {
    fn open(&mut self) -> Result<Box<dyn Stream>, CaptureError> {
        self.check_file()?;
        gst::init().map_err(|e| self.error(CaptureErrorKind::Pipeline, format!("GStreamer can't start: {e}")))?;
        let wrong = |e: &dyn std::fmt::Display| {
            let fix = match self.source {
                Source::Pipeline(_) => "correct the text (it ends before the sink) or install the missing plugin",
                Source::Csi { .. } => "nvarguscamerasrc and nvvidconv come with JetPack, on a Jetson only",
                _ => "install gstreamer1.0-plugins-base and gstreamer1.0-plugins-good",
            };
            self.error(CaptureErrorKind::Pipeline, format!("{e}; {fix}"))
        };
        let pipeline = gst::parse::launch(&self.text())
            .map_err(|e| wrong(&e))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| wrong(&"is not a pipeline"))?;
        // From here on a failure closes the pipeline.
        let stream = GstStream {
            sink: pipeline
                .by_name("till-sink")
                .and_then(|e| e.downcast::<AppSink>().ok())
                .ok_or_else(|| wrong(&"has no sink"))?,
            bus: pipeline.bus().ok_or_else(|| wrong(&"has no bus"))?,
            pipeline,
            opener: self.clone(),
            caps: None,
            info: None,
            first_offset: None,
            sequence: 0,
            delivered: 0,
            opened: Instant::now(),
        };
        // Only errors are read; anything else would pile up on the bus for as long as the camera lives.
        stream.bus.set_sync_handler(|_, m| match m.type_() {
            gst::MessageType::Error => gst::BusSyncReply::Pass,
            _ => gst::BusSyncReply::Drop,
        });
        let caps = CAPS.parse::<gst::Caps>().map_err(|e| wrong(&e))?;
        stream.sink.set_caps(Some(&caps));
        stream.sink.set_max_buffers(1);
        stream.sink.set_drop(self.pace == Pace::Live);
        stream.sink.set_property("sync", self.pace == Pace::Live);
        stream.sink.set_property("enable-last-sample", false);
        if let Some(element) = stream.pipeline.by_name("till-source") {
            match &self.source {
                Source::File(path) => element.set_property("location", path),
                Source::Rtsp(url) => element.set_property("location", url),
                Source::Csi { .. } | Source::Pipeline(_) => {}
            }
        }
        let paused = stream.pipeline.set_state(gst::State::Paused).map_err(|e| stream.failure(&e.to_string()))?;
        if paused == gst::StateChangeSuccess::NoPreroll {
            // A live source sets its own pace; waiting for its latency would only make frames older.
            stream.sink.set_property("sync", false);
        }
        stream.pipeline.set_state(gst::State::Playing).map_err(|e| stream.failure(&e.to_string()))?;
        if let Some(e) = stream.bus_error() {
            return Err(e);
        }
        Ok(Box::new(stream))
    }
}

struct GstStream {
    pipeline: gst::Pipeline,
    sink: AppSink,
    bus: gst::Bus,
    opener: GstOpener,
    caps: Option<gst::Caps>,
    info: Option<(VideoInfo, PixelFormat)>,
    first_offset: Option<u64>,
    /// Of the next frame.
    sequence: u64,
    delivered: u64,
    opened: Instant,
}

impl GstStream {
    /// The error on the bus, else one that says `otherwise`.
    fn failure(&self, otherwise: &str) -> CaptureError {
        self.bus_error().unwrap_or_else(|| self.opener.error(CaptureErrorKind::Lost, otherwise))
    }

    fn bus_error(&self) -> Option<CaptureError> {
        let message = self.bus.pop_filtered(&[gst::MessageType::Error])?;
        let gst::MessageView::Error(e) = message.view() else { return None };
        let (error, detail) = (e.error(), e.debug());
        let mut kind = kind_of(&error);
        let is_file = matches!(self.opener.source, Source::File(_));
        if is_file && kind == CaptureErrorKind::Lost {
            kind = CaptureErrorKind::Unreadable;
        }
        let detail = detail.as_deref().and_then(|d| d.lines().last()).unwrap_or_default().trim();
        let fix = match kind {
            CaptureErrorKind::Pipeline => "install gstreamer1.0-plugins-good and gstreamer1.0-libav",
            CaptureErrorKind::Unreadable if is_file => "check that it is a video and not cut short; encode it again",
            CaptureErrorKind::Busy => "end the other program that holds it",
            CaptureErrorKind::Denied => "give the daemon's user the right to open it",
            _ => "check cable, power and address",
        };
        let text = format!("{error} ({detail}) after {} frames; {fix}", self.delivered);
        Some(self.opener.error(kind, text))
    }

    fn end(&self) -> Result<Read, CaptureError> {
        match (&self.opener.source, self.delivered) {
            (Source::File(_), 0) => Err(self.opener.error(
                CaptureErrorKind::Unreadable,
                "there is not one picture in it; check that it is a video and encode it again",
            )),
            (Source::File(_) | Source::Pipeline(_), _) => Ok(Read::End),
            _ => Err(self.opener.error(CaptureErrorKind::Lost, "the camera ended its stream; check cable and power")),
        }
    }

    fn take(&mut self, sample: &gst::SampleRef, frame: &mut Frame) -> Result<(), CaptureError> {
        let lost = |what: &str| self.opener.error(CaptureErrorKind::Format, what);
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else {
            return Err(lost("a sample without pixels or caps came"));
        };
        if self.caps.as_deref() != Some(caps) {
            let info = VideoInfo::from_caps(caps).map_err(|e| lost(&format!("{e} in {caps}")))?;
            let format = format_of(info.format()).ok_or_else(|| lost(&format!("{caps} is not a layout of ours")))?;
            self.info = Some((info, format));
            self.caps = Some(caps.to_owned());
        }
        let Some((info, format)) = &self.info else { return Err(lost("no caps yet")) };
        let picture = VideoFrameRef::from_buffer_ref_readable(buffer, info)
            .map_err(|e| self.opener.error(CaptureErrorKind::Format, format!("a buffer doesn't fit its caps: {e}")))?;
        copy(&picture, *format, frame).ok_or_else(|| lost("a buffer is shorter than its layout says"))?;

        let running = buffer.pts().and_then(|pts| {
            sample.segment().and_then(|s| s.downcast_ref::<gst::format::Time>()).and_then(|s| s.to_running_time(pts))
        });
        frame.captured_ns = match self.opener.pace {
            Pace::LockStep => running.map_or(self.sequence, |t| t.nseconds()),
            Pace::Live => {
                // The pipeline's clock may be any; its distance to now holds on ours too.
                let age = running.zip(self.pipeline.current_running_time()).map(|(then, now)| now.saturating_sub(then));
                monotonic_ns().saturating_sub(age.map_or(0, |a| a.nseconds()))
            }
        };
        frame.sequence = self.sequence.max(self.numbered(buffer));
        self.sequence = frame.sequence.saturating_add(1);
        self.delivered += 1;
        Ok(())
    }

    /// The source's own count since the first frame, if it counts frames (offset and offset + 1).
    fn numbered(&mut self, buffer: &gst::BufferRef) -> u64 {
        let (offset, end) = (buffer.offset(), buffer.offset_end());
        if offset.checked_add(1) != Some(end) {
            return 0;
        }
        offset.saturating_sub(*self.first_offset.get_or_insert(offset))
    }
}

impl Stream for GstStream {
    fn read(&mut self, frame: &mut Frame, timeout: Duration) -> Result<Read, CaptureError> {
        let mut left = timeout;
        loop {
            let slice = left.min(SLICE);
            let wait = gst::ClockTime::from_nseconds(u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX));
            if let Some(sample) = self.sink.try_pull_sample(wait) {
                self.take(&sample, frame)?;
                return Ok(Read::Frame);
            }
            if let Some(e) = self.bus_error() {
                return Err(e);
            }
            let is_file = matches!(self.opener.source, Source::File(_));
            let silent = is_file && self.delivered == 0 && self.opened.elapsed() >= self.opener.first_picture_max;
            if silent || self.sink.is_eos() {
                return self.end();
            }
            left = left.saturating_sub(slice);
            if left.is_zero() {
                return Ok(Read::Timeout);
            }
        }
    }
}

impl Drop for GstStream {
    fn drop(&mut self) {
        // A pipeline that isn't in Null keeps its device and its threads.
        if self.pipeline.set_state(gst::State::Null).is_err() {
            log::warn!("camera {}: {} did not close", self.opener.camera, self.opener.place());
        }
    }
}

/// The one copy: each plane with its own stride, so rows keep the padding they came with.
fn copy(picture: &VideoFrameRef<&gst::BufferRef>, format: PixelFormat, frame: &mut Frame) -> Option<()> {
    frame.format = format;
    frame.matrix = matrix_of(picture.info());
    frame.width = picture.width();
    frame.height = picture.height();
    frame.planes = [Plane::default(); 3];
    frame.data.clear();
    for (index, plane) in (0..picture.n_planes()).zip(frame.planes.iter_mut()) {
        let bytes = picture.plane_data(index).ok()?;
        let stride = usize::try_from(*picture.plane_stride().get(index as usize)?).ok()?;
        *plane = Plane { offset: frame.data.len(), stride };
        frame.data.extend_from_slice(bytes);
    }
    Some(())
}

fn format_of(format: VideoFormat) -> Option<PixelFormat> {
    Some(match format {
        VideoFormat::Yuy2 => PixelFormat::Yuyv,
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::Rgb => PixelFormat::Rgb,
        VideoFormat::Bgr => PixelFormat::Bgr,
        VideoFormat::Bgrx => PixelFormat::Bgrx,
        VideoFormat::Gray8 => PixelFormat::Grey,
        _ => return None,
    })
}

fn matrix_of(info: &VideoInfo) -> Matrix {
    let colours = info.colorimetry();
    let full = colours.range() == VideoColorRange::Range0_255;
    match (colours.matrix(), full) {
        // BT.2020 is nearer to BT.709 than to BT.601.
        (VideoColorMatrix::Bt709 | VideoColorMatrix::Bt2020, false) => Matrix::Bt709,
        (VideoColorMatrix::Bt709 | VideoColorMatrix::Bt2020, true) => Matrix::Bt709Full,
        (_, false) => Matrix::Bt601,
        (_, true) => Matrix::Bt601Full,
    }
}

fn kind_of(error: &gst::glib::Error) -> CaptureErrorKind {
    use gst::{CoreError, ResourceError, StreamError};
    if let Some(e) = error.kind::<ResourceError>() {
        return match e {
            ResourceError::NotFound | ResourceError::OpenRead | ResourceError::OpenReadWrite => {
                CaptureErrorKind::Missing
            }
            ResourceError::Busy => CaptureErrorKind::Busy,
            ResourceError::NotAuthorized => CaptureErrorKind::Denied,
            _ => CaptureErrorKind::Lost,
        };
    }
    match (error.kind::<StreamError>(), error.kind::<CoreError>()) {
        (Some(StreamError::CodecNotFound), _) | (_, Some(CoreError::MissingPlugin)) => CaptureErrorKind::Pipeline,
        (Some(StreamError::Failed), _) => CaptureErrorKind::Lost,
        (Some(_), _) => CaptureErrorKind::Unreadable,
        (_, Some(CoreError::Negotiation | CoreError::Caps)) => CaptureErrorKind::Format,
        _ => CaptureErrorKind::Lost,
    }
}

/// A URL without its user and password.
fn redacted(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://{}", &url[..scheme], &url[at + 1..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
#[path = "gst_tests.rs"]
mod tests;
