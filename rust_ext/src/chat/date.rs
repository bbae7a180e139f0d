//! A record's own date, as templates write dates.

use std::borrow::Cow;

use super::refusal::Refusal;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns `2024-07-26`, whatever follows behind a `T` or a space, as `26 Jul 2024`, in English
/// wherever it runs; without a date the one that the template states itself.
pub(super) fn spell_date(
    date: Option<&str>,
    stated: &'static str,
) -> Result<Cow<'static, str>, Refusal> {
    let Some(date) = date else { return Ok(Cow::Borrowed(stated)) };
    read(date).map(Cow::Owned).ok_or(Refusal::MalformedDate)
}

fn read(date: &str) -> Option<String> {
    let day = date.split(['T', ' ']).next()?;
    let mut parts = day.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || !is_number(year, 4) || !is_number(month, 2) || !is_number(day, 2) {
        return None;
    }
    let number = month.parse::<usize>().ok()?;
    let name = MONTHS.get(number.checked_sub(1)?)?;
    let days = days_of(year.parse().ok()?, number);
    (1..=days).contains(&day.parse().ok()?).then(|| format!("{day} {name} {year}"))
}

fn days_of(year: u32, month: usize) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_record_s_or_the_template_s() {
        let spell = |date| spell_date(date, "26 Jul 2024").map(Cow::into_owned);
        assert_eq!(spell(None), Ok("26 Jul 2024".into()));
        assert_eq!(spell(Some("2023-02-01T12:00:00Z")), Ok("01 Feb 2023".into()));
        assert_eq!(spell(Some("2024-02-29")), Ok("29 Feb 2024".into()));
        for malformed in ["2023-02-29", "2024-13-01", "2024-1-1", "today", "", "2024-01-01-01"] {
            assert_eq!(spell(Some(malformed)), Err(Refusal::MalformedDate), "{malformed}");
        }
    }
}
