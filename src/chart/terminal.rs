//! Draws a chart with characters.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Direction, Rect};
use ratatui_core::symbols::Marker;
use ratatui_core::text::Line;
use ratatui_core::widgets::Widget;
use ratatui_widgets::barchart::{Bar, BarChart};
use ratatui_widgets::chart::{Axis, Chart as LineChart, Dataset, GraphType};

use super::{Chart, Kind};

/// Height of a line chart, in lines of the terminal.
const LINE_HEIGHT: u16 = 14;
/// Maximum characters of a label.
const MAX_LABEL: usize = 30;
/// The widget takes whole numbers as lengths. The longest bar gets this one, and the others their share of it.
const FULL: f64 = 10_000.0;

/// Returns the chart as lines of at most `width` columns, without colours.
///
/// # Errors
///
/// One clause that says why it cannot be drawn.
pub fn render(chart: &Chart, width: u16) -> Result<String, String> {
    let width = width.clamp(40, 120);
    match chart.kind {
        Kind::Bars => bars(chart, width),
        Kind::Line => Ok(line(chart, width)),
    }
}

fn bars(chart: &Chart, width: u16) -> Result<String, String> {
    let greatest = chart.marks.iter().map(|mark| mark.value).fold(0.0, f64::max);
    if chart.marks.iter().any(|mark| mark.value < 0.0) || greatest <= 0.0 {
        return Err("bars of characters show no negative numbers".to_owned());
    }
    let widest = chart.marks.iter().map(|mark| mark.text.chars().count()).max().unwrap_or(0);
    let longest = chart.marks.iter().map(|mark| cut(&mark.label).chars().count()).max().unwrap_or(0);
    let bar = |mark: &super::Mark| {
        let label = format!("{:<longest$} {:>widest$}", cut(&mark.label), mark.text);
        // The cast rounds a number between 0 and 10,000.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let length = (mark.value / greatest * FULL).round() as u64;
        Bar::default().value(length).text_value(String::new()).label(Line::from(label))
    };
    let bars: Vec<Bar<'_>> = chart.marks.iter().map(bar).collect();
    let height = u16::try_from(bars.len()).unwrap_or(u16::MAX);
    let widget = BarChart::horizontal(bars).bar_width(1).bar_gap(0).max(FULL as u64).direction(Direction::Horizontal);
    Ok(draw(widget, Rect::new(0, 0, width, height)))
}

fn line(chart: &Chart, width: u16) -> String {
    let points: Vec<(f64, f64)> = (0_u32..).zip(&chart.marks).map(|(at, mark)| (f64::from(at), mark.value)).collect();
    let last = points.last().map_or(1.0, |point| point.0);
    let least = points.iter().map(|point| point.1).fold(0.0, f64::min);
    let greatest = points.iter().map(|point| point.1).fold(f64::MIN, f64::max);
    let greatest = if greatest > least { greatest } else { least + 1.0 };
    let data = Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).data(&points);
    let ends: Vec<String> = [0, chart.marks.len() / 2, chart.marks.len().saturating_sub(1)]
        .iter()
        .filter_map(|at| chart.marks.get(*at).map(|mark| cut(&mark.label)))
        .collect();
    let heights = [least, f64::midpoint(least, greatest), greatest].map(short);
    let widget = LineChart::new(vec![data])
        .legend_position(None)
        .x_axis(Axis::default().bounds([0.0, last]).labels(ends))
        .y_axis(Axis::default().title(chart.measure.clone()).bounds([least, greatest]).labels(heights));
    draw(widget, Rect::new(0, 0, width, LINE_HEIGHT))
}

fn draw(widget: impl Widget, area: Rect) -> String {
    let mut buffer = Buffer::empty(area);
    widget.render(area, &mut buffer);
    let line = |y: u16| {
        let cells = (area.left()..area.right()).filter_map(|x| buffer.cell((x, y)));
        cells.map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()
    };
    (area.top()..area.bottom()).map(line).collect::<Vec<_>>().join("\n")
}

fn cut(label: &str) -> String {
    if label.chars().count() <= MAX_LABEL {
        return label.to_owned();
    }
    format!("{}…", label.chars().take(MAX_LABEL - 1).collect::<String>())
}

/// A number of an axis: `1.2k`, `3.4M`.
pub(super) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::super::Mark;
    use super::*;

    fn chart(kind: Kind, values: &[(&str, f64)]) -> Chart {
        let marks = values.iter().map(|(label, value)| Mark {
            label: (*label).to_owned(),
            value: *value,
            text: value.to_string(),
        });
        Chart { kind, title: "t".into(), label: "name".into(), measure: "n".into(), marks: marks.collect() }
    }

    #[test]
    fn bars_have_label_number_and_a_length_of_their_share() {
        let text = render(&chart(Kind::Bars, &[("a", 8.0), ("long name", 4.0), ("c", 0.0)]), 60).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let blocks = |line: &str| line.chars().filter(|c| *c == '█').count();
        assert!(lines[0].starts_with("a         8 ") && lines[1].starts_with("long name 4 "), "{text}");
        assert_eq!(blocks(lines[0]), 2 * blocks(lines[1]), "{text}");
        assert_eq!(blocks(lines[2]), 0, "{text}");
        assert!(render(&chart(Kind::Bars, &[("a", -1.0), ("b", 2.0)]), 60).is_err());
    }

    #[test]
    fn a_line_has_its_first_and_last_label() {
        let text = render(&chart(Kind::Line, &[("2026-01", 1.0), ("2026-02", 5.0), ("2026-03", 2.0)]), 60).unwrap();
        assert!(text.contains("2026-01") && text.contains("2026-03") && text.contains('5'), "{text}");
        assert!(text.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    }

    #[test]
    fn numbers_of_an_axis_are_short() {
        assert_eq!([0.0, 7.25, 12_500.0, 3_000_000.0, -2e9].map(short), ["0", "7.2", "12.5k", "3M", "-2G"]);
    }
}
