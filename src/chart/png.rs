//! Draws a chart as a PNG image.

use std::sync::Once;

use ab_glyph::{Font, FontRef};
use epaint_default_fonts::UBUNTU_LIGHT;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::terminal::short;
use super::{Chart, Kind};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 480;
const BAR: RGBColor = RGBColor(38, 110, 180);
const FONT: &str = "ubuntu";
/// Maximum characters of a title, and of a label.
const MAX_TITLE: usize = 80;
const MAX_LABEL: usize = 24;

/// Returns the bytes of a PNG image.
///
/// # Errors
///
/// One clause that says why it cannot be drawn.
pub fn render(chart: &Chart) -> Result<Vec<u8>, String> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| _ = register_font(FONT, FontStyle::Normal, UBUNTU_LIGHT));
    let font = FontRef::try_from_slice(UBUNTU_LIGHT).map_err(|error| error.to_string())?;
    let texts =
        chart.marks.iter().map(|mark| mark.label.as_str()).chain([&*chart.title, &*chart.label, &*chart.measure]);
    if let Some(c) = texts.flat_map(str::chars).find(|c| !c.is_whitespace() && font.glyph_id(*c).0 == 0) {
        return Err(format!("the font has no character {c:?}"));
    }
    let mut pixels = vec![255_u8; WIDTH as usize * HEIGHT as usize * 3];
    draw(chart, &mut pixels).map_err(|error| format!("the image cannot be drawn: {error}"))?;
    encode(&pixels).map_err(|error| format!("the image cannot be encoded: {error}"))
}

fn draw(chart: &Chart, pixels: &mut [u8]) -> Result<(), Box<dyn std::error::Error>> {
    let root = BitMapBackend::with_buffer(pixels, (WIDTH, HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = cut(&chart.title, MAX_TITLE);
    let values = || chart.marks.iter().map(|mark| mark.value);
    let (least, greatest) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    // Room beyond the greatest value; a chart of zeros has a height too.
    let room = if greatest > least { (greatest - least) * 0.05 } else { 1.0 };
    let (least, greatest) = (if least < 0.0 { least - room } else { 0.0 }, greatest + room);
    let label = |at: usize| chart.marks.get(at).map(|mark| cut(&mark.label, MAX_LABEL)).unwrap_or_default();
    let small = (FONT, 16);
    let mut builder = ChartBuilder::on(&root);
    builder.margin(14).margin_right(46).caption(title, (FONT, 22));
    match chart.kind {
        Kind::Bars => {
            let count = i32::try_from(chart.marks.len())?;
            let longest = chart.marks.iter().map(|mark| cut(&mark.label, MAX_LABEL).chars().count()).max().unwrap_or(0);
            let mut area = builder
                .x_label_area_size(44)
                .y_label_area_size(u32::try_from(longest)? * 9 + 40)
                .build_cartesian_2d(least..greatest, (0..count - 1).into_segmented())?;
            // The first bar stands on top.
            let place = |at: usize| count - 1 - i32::try_from(at).unwrap_or(0);
            area.configure_mesh()
                .disable_y_mesh()
                .light_line_style(WHITE)
                .x_desc(chart.measure.as_str())
                .y_desc(chart.label.as_str())
                .label_style(small)
                .axis_desc_style(small)
                .y_labels(chart.marks.len())
                .x_label_formatter(&|value| short(*value))
                .y_label_formatter(&|value| match value {
                    SegmentValue::CenterOf(at) => usize::try_from(count - 1 - at).map(label).unwrap_or_default(),
                    _ => String::new(),
                })
                .draw()?;
            area.draw_series(chart.marks.iter().enumerate().map(|(at, mark)| {
                let (from, to) = (SegmentValue::Exact(place(at)), SegmentValue::Exact(place(at) + 1));
                let mut bar = Rectangle::new([(0.0, from), (mark.value, to)], BAR.filled());
                bar.set_margin(3, 3, 0, 0);
                bar
            }))?;
        }
        Kind::Line => {
            let last = u32::try_from(chart.marks.len().saturating_sub(1))?;
            let mut area = builder
                .x_label_area_size(44)
                .y_label_area_size(70)
                .build_cartesian_2d(0.0..f64::from(last), least..greatest)?;
            area.configure_mesh()
                .disable_x_mesh()
                .light_line_style(WHITE)
                .x_desc(chart.label.as_str())
                .y_desc(chart.measure.as_str())
                .label_style(small)
                .axis_desc_style(small)
                .x_labels(chart.marks.len().min(8))
                .x_label_formatter(&|value| {
                    // Labels stand at points only. The cast is of a whole number of at most 30.
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    let at = value.round().max(0.0) as usize;
                    if (value - value.round()).abs() < 1e-6 { label(at) } else { String::new() }
                })
                .y_label_formatter(&|value| short(*value))
                .draw()?;
            let points = || (0_u32..).zip(values()).map(|(at, value)| (f64::from(at), value));
            let path = PathElement::new(points().collect::<Vec<_>>(), BAR.stroke_width(2));
            area.draw_series(std::iter::once(path))?;
            area.draw_series(points().map(|point| Circle::new(point, 3, BAR.filled())))?;
        }
    }
    root.present()?;
    Ok(())
}

fn encode(pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(bytes)
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(most - 1).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::Mark;
    use super::*;

    fn chart(kind: Kind, labels: &[&str], values: &[f64]) -> Chart {
        let mark =
            |(label, value): (&&str, &f64)| Mark { label: (*label).to_owned(), value: *value, text: value.to_string() };
        let marks = labels.iter().zip(values).map(mark).collect();
        Chart { kind, title: "Revenue by Größe".into(), label: "name".into(), measure: "revenue".into(), marks }
    }

    /// The colour of each pixel, from the decoded image.
    fn decoded(bytes: &[u8]) -> Vec<[u8; 3]> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (WIDTH, HEIGHT));
        pixels.chunks(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        let pixels = decoded(&render(&chart(Kind::Bars, &["a", "b"], &[8.0, 4.0])).unwrap());
        let blue = |y: u32| {
            let row = pixels.iter().skip((y * WIDTH) as usize).take(WIDTH as usize);
            row.filter(|pixel| **pixel == [BAR.0, BAR.1, BAR.2]).count()
        };
        let lengths: Vec<usize> = (0..HEIGHT).map(blue).filter(|length| *length > 50).collect();
        let (first, last) = (lengths.first().copied().unwrap(), lengths.last().copied().unwrap());
        assert!(first.abs_diff(2 * last) <= 4, "{first} {last}");
    }

    #[test]
    fn a_line_and_many_bars_fit_a_reply() {
        let labels: Vec<String> = (1..=30).map(|day| format!("2026-01-{day:02}")).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let values: Vec<f64> = (1..=30).map(|day| f64::from(day * day % 17) - 3.0).collect();
        for kind in [Kind::Bars, Kind::Line] {
            let bytes = render(&chart(kind, &labels, &values)).unwrap();
            assert!(bytes.len() < 30_000, "{}", bytes.len());
            assert!(decoded(&bytes).contains(&[BAR.0, BAR.1, BAR.2]));
        }
    }

    #[test]
    fn a_character_that_the_font_lacks_is_named() {
        let error = render(&chart(Kind::Bars, &["漢", "b"], &[1.0, 2.0])).unwrap_err();
        assert!(error.contains('漢'), "{error}");
    }
}
