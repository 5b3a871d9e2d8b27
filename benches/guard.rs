//! The guard's cost beside sqlparser's bare parse of the same text, for a small statement and one of 4 KB: read the two
//! medians as a ratio. `cargo bench --bench guard`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use tudb::dialect::Dialect;
use tudb::guard::approve;
use tudb::limits::Limits;

fn cost(criterion: &mut Criterion) {
    let small = "SELECT c.country, count(*) AS orders, sum(o.total) AS revenue FROM customers c \
                 JOIN orders o ON o.customer_id = c.id WHERE o.status = 'paid' AND o.ordered_at >= date '2024-01-01' \
                 GROUP BY c.country ORDER BY revenue DESC LIMIT 10";
    let part = "SELECT c.country, date_trunc('month', o.ordered_at) AS month, sum(i.qty * i.unit_price) AS revenue, \
                rank() OVER (PARTITION BY c.country ORDER BY sum(i.qty * i.unit_price) DESC) AS place FROM orders o \
                JOIN customers c ON c.id = o.customer_id JOIN order_items i ON i.order_id = o.id \
                WHERE o.status IN ('paid', 'shipped') AND c.name LIKE 'C%' GROUP BY 1, 2 HAVING count(*) > 3";
    let large = [part; 9].join(" UNION ALL ");
    let limits = Limits::default();
    for (name, sql) in [("200 bytes", small), ("4 KB", large.as_str())] {
        let mut group = criterion.benchmark_group(format!("{name} ({})", sql.len()));
        group.bench_function("parse", |bencher| {
            bencher.iter(|| Parser::parse_sql(&PostgreSqlDialect {}, black_box(sql)));
        });
        group.bench_function("guard", |bencher| {
            bencher.iter(|| approve(black_box(sql), Dialect::Postgresql, &limits));
        });
        group.finish();
    }
}

criterion_group!(benches, cost);
criterion_main!(benches);
