use super::*;

fn write(path: &Path) {
    let mut writer = Writer::create(path, Kind::Buckets, 77).unwrap();
    for section in [&b"first"[..], b"", b"the third"] {
        writer.section(section).unwrap();
    }
    let unlisted = writer.append(b"named by the last").unwrap();
    let mut last = Vec::new();
    unlisted.encode(&mut last);
    writer.section(&last).unwrap();
    writer.finish(1234).unwrap();
}

#[test]
fn what_was_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    write(&path);
    let reader = Reader::open(&path, Kind::Buckets, 77).unwrap();
    assert_eq!(reader.records(), 1234);
    assert_eq!(reader.section(2).unwrap(), b"the third");
    assert_eq!(reader.section(0).unwrap(), b"first");
    assert_eq!(reader.section(1).unwrap(), b"");
    let unlisted = Section::decode(&reader.section(3).unwrap());
    assert_eq!(reader.read(unlisted).unwrap(), b"named by the last");
    assert!(reader.section(4).unwrap_err().to_string().contains("found 4"));
}

#[test]
fn other_kinds_and_runs_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00007.sign");
    write(&path);
    let error = Reader::open(&path, Kind::Verdicts, 77).unwrap_err().to_string();
    assert!(error.contains("00007.sign: expected a file that begins with HF-VERDS"), "{error}");
    let error = Reader::open(&path, Kind::Buckets, 78).unwrap_err().to_string();
    assert!(error.contains("00007.sign: it was made with other options or inputs"), "{error}");
}

#[test]
fn no_cut_and_no_flipped_bit_goes_unseen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    write(&path);
    let whole = std::fs::read(&path).unwrap();
    let read_all = || -> Result<()> {
        let reader = Reader::open(&path, Kind::Buckets, 77)?;
        reader.read(Section::decode(&reader.section(3)?))?;
        (0..3).try_for_each(|index| reader.section(index).map(|_| ()))
    };
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(read_all().is_err(), "cut to {length}");
    }
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, damaged).unwrap();
        assert!(read_all().is_err(), "bit {bit}");
    }
}
