"""What nearly every sealed content says in the same words: names of fields, OIDs, codes of the profile (RFC 1950 section 2.2, FDICT).

A msgpack content of an invented patient without a name. It halves what a deflated content takes (656 bytes for 1,305 in the bench's
documents, 766 for 1,319 in the official samples), and that is carried on by every fact of the road. Frozen: what was sealed with it
opens only with it, and each ciphertext names it by its Adler-32. A better one is a second one beside it.
"""

from typing import Final

CONTENT_DICTIONARY: Final = (
    b"\x86\xa6header\xde\x00\x1c\xa2id\x82\xa4root\xa52.25.\xa9extension\xa0\xa6set_id\x82\xa4root\xaa1.2.250.1.\xa9extensio"
    b"n\xa0\xaeversion_number\x01\xa4type\x83\xa4code\xa711488-4\xa6system\xb52.16.840.1.113883.6.1\xa7display\xadCompte ren"
    b"du \xa5title\xafCompte rendu d'\xaeeffective_time\xb320260101000000+0100\xa8language\xa5fr-FR\xafconfidentiality\x83"
    b"\xa4code\xa1N\xa6system\xb62.16.840.1.113883.5.25\xa7display\xa6Normal\xactemplate_ids\x94\x82\xa4root\xb92.16.840.1.1"
    b"13883.2.8.2.1\xa9extension\xa0\x82\xa4root\xb51.2.250.1.213.1.1.1.1\xa9extension\xa0\x82\xa4root\xb81.3.6.1.4.1.19376."
    b"1.2.20\xa9extension\xa0\x82\xa4root\xb41.2.250.1.213.1.1.1.\xa9extension\xa72024.01\xabpatient_ids\x92\x82\xa4root\xb4"
    b"1.2.250.1.213.1.4.10\xa9extension\xa11\x82\xa4root\xb31.2.250.1.213.1.4.8\xa9extension\xa12\xb0patient_families\x92"
    b"\x82\xa5value\xa0\xa9qualifier\xa2BR\x82\xa5value\xa0\xa9qualifier\xa2CL\xaepatient_givens\x92\x82\xa5value\xa0\xa9qua"
    b"lifier\xa2CL\x82\xa5value\xa0\xa9qualifier\xa2BR\xb0patient_prefixes\x90\xabpatient_sex\xa1F\xb2patient_birth_time\xa2"
    b"19\xb3patient_birth_place\xa275\xb0patient_telecoms\x92\xa5tel:0\xbbmailto:1@patient.mssante.fr\xa7authors\x91\x8c\xaa"
    b"identifier\x82\xa4root\xb21.2.250.1.71.4.2.1\xa9extension\xa3810\xa6family\xa0\xa5given\xa0\xa6prefix\xa2DR\xa6suffix"
    b"\xa0\xa6device\xa0\xa9specialty\x83\xa4code\xa9G15_10/SM\xa6system\xb51.2.250.1.213.1.1.4.5\xa7display\xabM\xc3\xa9dec"
    b"in - \xaforganisation_id\x82\xa4root\xb21.2.250.1.71.4.2.2\xa9extension\xa11\xb1organisation_name\xb3Centre Hospitalie"
    b"r \xb5organisation_industry\xc0\xa4time\xb320260101000000+0100\xa8telecoms\x91\xa7tel:+33\xb3legal_authenticator\x8c"
    b"\xaaidentifier\x82\xa4root\xb21.2.250.1.71.4.2.1\xa9extension\xa3810\xa6family\xa0\xa5given\xa0\xa6prefix\xa2DR\xa6suf"
    b"fix\xa0\xa6device\xa0\xa9specialty\xc0\xaforganisation_id\x82\xa4root\xb21.2.250.1.71.4.2.2\xa9extension\xa11\xb1organ"
    b"isation_name\xb3Centre Hospitalier \xb5organisation_industry\xc0\xa4time\xb320260101000000+0100\xa8telecoms\x90\xaccus"
    b"todian_id\x82\xa4root\xb21.2.250.1.71.4.2.2\xa9extension\xa11\xaecustodian_name\xa9H\xc3\xb4pital \xaeservice_events"
    b"\x91\x84\xa4code\x83\xa4code\xa3IMP\xa6system\xb52.16.840.1.113883.5.4\xa7display\xafHospitalisation\xa3low\xa82026010"
    b"1\xa4high\xa820260101\xa9performer\x8c\xaaidentifier\x82\xa4root\xb21.2.250.1.71.4.2.1\xa9extension\xa3810\xa6family"
    b"\xa0\xa5given\xa0\xa6prefix\xa2DR\xa6suffix\xa0\xa6device\xa0\xa9specialty\xc0\xaforganisation_id\x82\xa4root\xb21.2.2"
    b"50.1.71.4.2.2\xa9extension\xa11\xb1organisation_name\xb3Centre Hospitalier \xb5organisation_industry\x83\xa4code\xadET"
    b"ABLISSEMENT\xa6system\xb51.2.250.1.213.1.1.4.9\xa7display\xb7Etablissement de sant\xc3\xa9\xa4time\xa0\xa8telecoms\x90"
    b"\xa8facility\x83\xa4code\xa4SA01\xa6system\xb21.2.250.1.71.4.2.4\xa7display\xbeEtablissement public de sant\xc3\xa9"
    b"\xaeencounter_code\xc0\xa8replaces\x90\xaastructured\xc2\xafbody_media_type\xafapplication/pdf\xb0auto_presentable\xc2"
    b"\xa8identity\x8c\xa3ins\xa11\xa7ins_oid\xb31.2.250.1.213.1.4.8\xaains_status\xa9QUALIFIEE\xb1birth_family_name\xa0\xb6"
    b"first_birth_given_name\xa0\xabgiven_names\xa0\xa3sex\xa1F\xaabirth_date\xa219\xabbirth_place\xa275\xa8local_id\xa0\xb2"
    b"local_id_authority\xaa1.2.250.1.\xaehistorical_ins\x90\xaarecipients\x92\x85\xa4kind\xacORGANISATION\xa7address\xa1@"
    b"\xaaidentifier\xa0\xa4name\xa0\xb0fallback_address\xa0\x85\xa4kind\xacPROFESSIONAL\xa7address\xb3@medecin.mssante.fr"
    b"\xaaidentifier\xa0\xa4name\xa0\xb0fallback_address\xa0\xacprofessional\x84\xaaidentifier\xa3810\xabfamily_name\xa0\xaa"
    b"given_name\xa0\xacorganisation\xa11\xafdocument_sha256\xc4\x00\xa5title\xafCompte rendu d'"
)
