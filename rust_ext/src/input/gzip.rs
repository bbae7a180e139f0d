//! gzip as tools write it: members one after another, zeros between and behind them.
//!
//! Tapes and object stores pad files with zeros; `gzip` itself reads past them.

use std::io::{BufRead, BufReader, Read, Result};

use flate2::bufread::GzDecoder;

/// Decompresses all members of a stream.
pub(super) struct Members<R> {
    /// `None` only while one member gives way to the next.
    member: Option<GzDecoder<BufReader<R>>>,
}

impl<R: Read> Members<R> {
    /// Begins with the first member, without which a stream is damaged.
    pub(super) fn new(stored: R) -> Self {
        Self { member: Some(GzDecoder::new(BufReader::new(stored))) }
    }

    /// Returns the stored bytes as they are read.
    pub(super) fn get_ref(&self) -> &R {
        match &self.member {
            Some(member) => member.get_ref().get_ref(),
            None => unreachable!("another member is put in its place at once"),
        }
    }

    /// Returns what is left of the stored bytes; what is buffered was read.
    pub(super) fn into_inner(self) -> R {
        match self.member {
            Some(member) => member.into_inner().into_inner(),
            None => unreachable!("another member is put in its place at once"),
        }
    }

    /// Goes to the next member; `false` at the end of the stream.
    fn next_member(&mut self) -> Result<bool> {
        let Some(member) = &mut self.member else { return Ok(false) };
        if !pass_zeros(member.get_mut())? {
            return Ok(false);
        }
        self.member = self.member.take().map(|member| GzDecoder::new(member.into_inner()));
        Ok(true)
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() || !self.next_member()? {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

/// Passes zeros; `false` if nothing is behind them.
fn pass_zeros(stored: &mut impl BufRead) -> Result<bool> {
    loop {
        let bytes = stored.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let is_over = zeros < bytes.len();
        stored.consume(zeros);
        if is_over {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn member(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(stored: &[u8]) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        Members::new(stored).read_to_end(&mut content).map(|_| content)
    }

    #[test]
    fn zeros_between_members_and_behind_them_are_passed_over() {
        let (a, b, none) = (member(b"a"), member(b"b"), member(b""));
        for zeros in [0, 1, 8, 511, 20_000] {
            let zeros = vec![0; zeros];
            let padded = [&a[..], &zeros, &none, &b, &zeros].concat();
            assert_eq!(read(&padded).unwrap(), b"ab", "{} zeros", zeros.len());
        }
    }

    #[test]
    fn what_is_no_member_is_damage() {
        let (whole, zeros) = (member(b"a"), [0; 9]);
        for damaged in [
            &b""[..],
            &zeros,
            &whole[..whole.len() - 1],
            &[&whole[..], b"x"].concat(),
            &[&whole[..], &zeros, b"x"].concat(),
            &[&whole[..], &whole[..5]].concat(),
        ] {
            assert!(read(damaged).is_err(), "{damaged:?}");
        }
    }
}
