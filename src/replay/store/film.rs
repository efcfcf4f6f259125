//! A cart as the tray camera sees it: goods at rest are laid on the counter once, what moves is laid over them in each
//! frame; then the light drifts and the sensor makes its noise.

use std::time::Duration;

use crate::capture::{CaptureError, Frame, PixelFormat, Plane, Read, Stream};
use crate::sim::rng::Rng;

use super::Store;
use super::cart::{Actor, Cart, Place};
use super::sprite::{HEIGHT, Picture, Pose, Shadow, Sprite, WIDTH};

/// Milliseconds between two frames.
pub const FRAME_MS: u64 = 100;
/// Noise is drawn once and read from another place for each frame.
const NOISE_LEN: usize = 1 << 20;

/// The camera over one cart.
pub struct Film<'s> {
    store: &'s Store,
    cart: &'s Cart,
    rng: Rng,
    light: [f32; 3],
    shadow: Shadow,
    table: usize,
    /// The counter with all that lies still, and which actors that is.
    rest: Picture,
    lying: Vec<Option<Place>>,
    noise: Vec<i8>,
    frame: u64,
    /// Everything put together, before light and sensor.
    scene: Picture,
}

impl<'s> Film<'s> {
    /// A film of `cart`; its light and noise hang on the cart's seed.
    pub fn new(store: &'s Store, cart: &'s Cart) -> Self {
        let mut rng = Rng::new(cart.seed ^ 0x000c_a3e7_a000);
        let table = rng.below(store.tables.len());
        let gain = 0.85 + rng.between(0, 300) as f32 / 1000.0;
        let warm = rng.between(0, 80) as f32 / 1000.0 - 0.04;
        let (sin, cos) = (rng.between(0, 6283) as f32 / 1000.0).sin_cos();
        let far = rng.between(2, 14) as f32;
        let dark = rng.between(20, 55) as f32 / 100.0;
        let shadow = Shadow { dx: cos * far, dy: sin * far, dark, soft: 3 + rng.below(8) };
        // The sum of a few dice: near enough to a sensor's bell.
        let noise = (0..NOISE_LEN).map(|_| {
            let bits = rng.bits();
            let sum: i32 = (0..6).map(|i| (bits >> (8 * i) & 7) as i32).sum();
            ((sum - 21) / 2) as i8
        });
        let noise = noise.collect();
        let rest = store.tables.get(table).cloned().unwrap_or(Picture(vec![0; WIDTH * HEIGHT * 3]));
        let light = [gain * (1.0 + warm), gain, gain * (1.0 - warm)];
        let scene = rest.clone();
        Self { store, cart, rng, light, shadow, table, rest, lying: Vec::new(), noise, frame: 0, scene }
    }

    /// The picture at `at_ms`, before light and sensor.
    fn compose(&mut self, at_ms: u64) {
        let places: Vec<Option<Place>> = self.cart.actors.iter().map(|actor| actor.at(at_ms)).collect();
        let lying: Vec<Option<Place>> = places.iter().map(|p| p.filter(|p| p.still)).collect();
        if lying != self.lying {
            self.rest = match self.store.tables.get(self.table) {
                Some(table) => table.clone(),
                None => return,
            };
            for (actor, place) in self.cart.actors.iter().zip(&lying) {
                if let Some(place) = place {
                    lay(self.store, &mut self.rest, actor, place, &self.shadow);
                }
            }
            self.lying = lying;
        }
        self.scene.0.clone_from(&self.rest.0);
        for (actor, place) in self.cart.actors.iter().zip(&places) {
            if let Some(place) = place.filter(|p| !p.still) {
                lay(self.store, &mut self.scene, actor, &place, &self.shadow);
            }
        }
        for hand in &self.cart.hands {
            let (Some(place), Some(sprite)) = (hand.at(at_ms), self.store.hands.get(hand.view)) else { continue };
            // The arm comes from the frame's lower edge: it is never cut off above it.
            let height = sprite.height as f32 * hand.scale;
            let y = (place.y + height / 2.0).max(HEIGHT as f32 - height / 2.0);
            let pose = Pose { x: place.x, y, angle: 0.0, scale: hand.scale, gain: [1.0; 3] };
            sprite.shade(&mut self.scene, &pose, &Shadow { dark: self.shadow.dark * 0.5, ..self.shadow });
            sprite.draw(&mut self.scene, &pose);
        }
    }

    /// What the sensor makes of the scene, into `out`.
    fn expose(&mut self, at_ms: u64, out: &mut Vec<u8>) {
        let t = at_ms as f32 / 1000.0;
        let drift = 1.0 + 0.03 * (t * 1.3 + self.cart.seed as f32).sin() + 0.006 * (t * 9.0).sin();
        let tables: [[u8; 256]; 3] =
            self.light.map(|gain| std::array::from_fn(|v| (v as f32 * gain * drift).round().clamp(0.0, 255.0) as u8));
        let start = self.rng.below(NOISE_LEN);
        out.clear();
        let noise = self.noise.iter().cycle().skip(start);
        out.extend(self.scene.0.iter().zip(noise).enumerate().map(|(i, (v, n))| {
            let lit = tables[i % 3][usize::from(*v)];
            lit.saturating_add_signed(*n)
        }));
    }

    /// The picture at `at_ms`, packed RGB.
    pub fn picture(&mut self, at_ms: u64) -> Vec<u8> {
        let mut data = Vec::new();
        self.compose(at_ms);
        self.expose(at_ms, &mut data);
        data
    }
}

fn lay(store: &Store, picture: &mut Picture, actor: &Actor, place: &Place, shadow: &Shadow) {
    let Some(sprite) = sprite(store, actor) else { return };
    let pose = Pose {
        x: place.x,
        y: place.y,
        angle: actor.angle,
        scale: actor.scale * (1.0 + 0.12 * place.lift),
        gain: actor.gain,
    };
    let away = 1.0 + 2.0 * place.lift;
    let shadow = Shadow { dx: shadow.dx * away, dy: shadow.dy * away, dark: shadow.dark / away, ..*shadow };
    sprite.shade(picture, &pose, &shadow);
    sprite.draw(picture, &pose);
}

/// The view of `actor`.
pub fn sprite<'s>(store: &'s Store, actor: &Actor) -> Option<&'s Sprite> {
    store.thing(actor.stranger, actor.thing)?.views.get(actor.view)
}

impl Stream for Film<'_> {
    fn read(&mut self, frame: &mut Frame, _timeout: Duration) -> Result<Read, CaptureError> {
        let at_ms = self.frame * FRAME_MS;
        if at_ms > self.cart.length_ms {
            return Ok(Read::End);
        }
        self.compose(at_ms);
        self.expose(at_ms, &mut frame.data);
        (frame.format, frame.width, frame.height) = (PixelFormat::Rgb, WIDTH as u32, HEIGHT as u32);
        frame.planes = [Plane { offset: 0, stride: WIDTH * 3 }, Plane::default(), Plane::default()];
        (frame.captured_ns, frame.sequence) = (at_ms * 1_000_000, self.frame);
        self.frame += 1;
        Ok(Read::Frame)
    }
}
