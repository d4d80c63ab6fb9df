"""Who and when: patients, exams, the days of exams and the names of files."""
