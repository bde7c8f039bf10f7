BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE answer (
	id INTEGER NOT NULL, 
	assignment_id INTEGER NOT NULL, 
	rater_id INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	value TEXT NOT NULL, 
	response_ms INTEGER NOT NULL, 
	comment TEXT NOT NULL, 
	language TEXT NOT NULL, 
	stored_at DATETIME NOT NULL, server_ms INTEGER, 
	CONSTRAINT pk_answer PRIMARY KEY (id), 
	CONSTRAINT ck_answer_response_ms CHECK (response_ms >= 0), 
	CONSTRAINT ck_answer_revision CHECK (revision >= 0), 
	CONSTRAINT fk_answer_assignment_id_assignment FOREIGN KEY(assignment_id) REFERENCES assignment (id), 
	CONSTRAINT fk_answer_rater_id_rater FOREIGN KEY(rater_id) REFERENCES rater (id), 
	CONSTRAINT uq_answer_assignment_id_revision UNIQUE (assignment_id, revision), 
	CONSTRAINT uq_answer_rater_id_key UNIQUE (rater_id, "key")
);
INSERT INTO "answer" VALUES(1,1,1,'5c7bb018c7734425ac7f99a7cf9cd82d',0,'4',1500,'','en','2026-11-24 04:11:21.771382',NULL);
INSERT INTO "answer" VALUES(2,2,1,'f033ede2fb974d9087d3ef4cc1b46dff',0,'2',1500,'grün; it''s "fine"','en','2026-11-24 04:11:21.783368',NULL);
INSERT INTO "answer" VALUES(3,2,1,'1d67856450834e0c89f48864c2999ec3',1,'3',1500,'','en','2026-11-24 04:11:21.796961',NULL);
INSERT INTO "answer" VALUES(4,3,1,'1cca5e85b81946428fccd641426bb130',0,'2',1500,'','en','2026-11-24 04:11:21.811224',NULL);
INSERT INTO "answer" VALUES(5,4,1,'191ad449971d4f41a73b5fc7e668aa6b',0,'2',1500,'','en','2026-11-24 04:11:21.822506',NULL);
INSERT INTO "answer" VALUES(6,5,1,'b484f943a1e943dd90aae69c57b7b028',0,'2',1500,'','en','2026-11-24 04:11:21.833440',NULL);
INSERT INTO "answer" VALUES(7,6,1,'82c037f8007046a694ad3504e2afe8b6',0,'2',1500,'','en','2026-11-24 04:11:21.847290',NULL);
INSERT INTO "answer" VALUES(8,7,1,'5a687c215dfa40e583e198158f6d6fc5',0,'left',1500,'','en','2026-11-24 04:11:21.855163',NULL);
INSERT INTO "answer" VALUES(9,8,2,'51d21f3960214ab5a912d070be351ffb',0,'5',1500,'','en','2026-11-24 04:11:21.911222',NULL);
CREATE TABLE assignment (
	id INTEGER NOT NULL, 
	rater_id INTEGER NOT NULL, 
	cell_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	slot INTEGER, 
	flipped BOOLEAN NOT NULL, 
	public TEXT NOT NULL, 
	shown_at DATETIME, 
	answered BOOLEAN NOT NULL, 
	CONSTRAINT pk_assignment PRIMARY KEY (id), 
	CONSTRAINT ck_assignment_slot CHECK (slot >= 0), 
	CONSTRAINT fk_assignment_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id), 
	CONSTRAINT fk_assignment_rater_id_rater FOREIGN KEY(rater_id) REFERENCES rater (id), 
	CONSTRAINT uq_assignment_cell_id_slot UNIQUE (cell_id, slot), 
	CONSTRAINT uq_assignment_public UNIQUE (public), 
	CONSTRAINT uq_assignment_rater_id_cell_id UNIQUE (rater_id, cell_id), 
	CONSTRAINT uq_assignment_rater_id_position UNIQUE (rater_id, position)
);
INSERT INTO "assignment" VALUES(1,1,16,0,NULL,0,'fo0Djs4z_Rl3fRmu983TSHvH','2026-11-24 04:11:21.750337',1);
INSERT INTO "assignment" VALUES(2,1,11,1,0,1,'LgXIIV_rltd465Pm3LH7OfBs','2026-11-24 04:11:21.771382',1);
INSERT INTO "assignment" VALUES(3,1,17,2,NULL,0,'WJtuiDQqYYgwAfFpuSyQLQUm','2026-11-24 04:11:21.783368',1);
INSERT INTO "assignment" VALUES(4,1,13,3,0,1,'WL-jy1hs8RDSpteOTABI-zAN','2026-11-24 04:11:21.811224',1);
INSERT INTO "assignment" VALUES(5,1,4,4,0,0,'it_pgGuwhbmcIpNNIz3j8sis','2026-11-24 04:11:21.822506',1);
INSERT INTO "assignment" VALUES(6,1,8,5,0,0,'gPEk1VFjZthyg2HsGlh1iRNr','2026-11-24 04:11:21.833440',1);
INSERT INTO "assignment" VALUES(7,1,5,6,0,1,'v0UcdEsuijF_PHannmXStfhn','2026-11-24 04:11:21.847290',1);
INSERT INTO "assignment" VALUES(8,2,16,0,NULL,0,'TnRc9yiul9gxtRCFZgcojzr_','2026-11-24 04:11:21.887455',1);
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (id), 
	CONSTRAINT fk_audit_study_id_study FOREIGN KEY(study_id) REFERENCES study (id)
);
INSERT INTO "audit" VALUES(1,1,'2026-11-24 04:11:21.680777','cli','created','46589bdf4af301a81f578fea25b7b579e23adff9aa0c9102bff47d722d5f9529');
INSERT INTO "audit" VALUES(2,1,'2026-11-24 04:11:21.692457','cli','open','46589bdf4af301a81f578fea25b7b579e23adff9aa0c9102bff47d722d5f9529');
INSERT INTO "audit" VALUES(3,1,'2026-11-24 04:11:21.718518','test','invited','1');
INSERT INTO "audit" VALUES(4,1,'2026-11-24 04:11:21.871396','test','invited','1');
INSERT INTO "audit" VALUES(5,1,'2026-11-24 04:11:21.932515','cli','excluded','rf2a8194899: too fast');
CREATE TABLE cell (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	item TEXT NOT NULL, 
	image TEXT NOT NULL, 
	first TEXT NOT NULL, 
	second TEXT NOT NULL, 
	target INTEGER, 
	CONSTRAINT pk_cell PRIMARY KEY (id), 
	CONSTRAINT ck_cell_target CHECK ((target IS NULL) = (kind IN ('practice', 'catch'))), 
	CONSTRAINT ck_cell_kind CHECK (kind IN ('rating', 'pair', 'practice', 'catch')), 
	CONSTRAINT fk_cell_study_id_study FOREIGN KEY(study_id) REFERENCES study (id), 
	CONSTRAINT uq_cell_study_id_kind_item_first_second UNIQUE (study_id, kind, item, first, second)
);
INSERT INTO "cell" VALUES(1,1,'rating','i001','p001','teacher','',1);
INSERT INTO "cell" VALUES(2,1,'rating','i001','p001','lfi','',1);
INSERT INTO "cell" VALUES(3,1,'rating','i001','p001','baseline','',1);
INSERT INTO "cell" VALUES(4,1,'rating','i001','p001','shuffled','',1);
INSERT INTO "cell" VALUES(5,1,'pair','i001','p001','lfi','baseline',1);
INSERT INTO "cell" VALUES(6,1,'rating','i002','p002','teacher','',1);
INSERT INTO "cell" VALUES(7,1,'rating','i002','p002','lfi','',1);
INSERT INTO "cell" VALUES(8,1,'rating','i002','p002','baseline','',1);
INSERT INTO "cell" VALUES(9,1,'rating','i002','p002','shuffled','',1);
INSERT INTO "cell" VALUES(10,1,'pair','i002','p002','lfi','baseline',1);
INSERT INTO "cell" VALUES(11,1,'rating','i003','p003','teacher','',1);
INSERT INTO "cell" VALUES(12,1,'rating','i003','p003','lfi','',1);
INSERT INTO "cell" VALUES(13,1,'rating','i003','p003','baseline','',1);
INSERT INTO "cell" VALUES(14,1,'rating','i003','p003','shuffled','',1);
INSERT INTO "cell" VALUES(15,1,'pair','i003','p003','lfi','baseline',1);
INSERT INTO "cell" VALUES(16,1,'practice','practice01','p001','drawn','',NULL);
INSERT INTO "cell" VALUES(17,1,'catch','catch01','p002','drawn','',NULL);
CREATE TABLE exposure (
	rater_id INTEGER NOT NULL, 
	image TEXT NOT NULL, 
	condition TEXT NOT NULL, 
	assignment_id INTEGER, 
	CONSTRAINT pk_exposure PRIMARY KEY (rater_id, image, condition), 
	CONSTRAINT fk_exposure_assignment_id_assignment FOREIGN KEY(assignment_id) REFERENCES assignment (id) ON DELETE SET NULL, 
	CONSTRAINT fk_exposure_rater_id_rater FOREIGN KEY(rater_id) REFERENCES rater (id)
);
INSERT INTO "exposure" VALUES(1,'p003','teacher',2);
INSERT INTO "exposure" VALUES(1,'p003','baseline',4);
INSERT INTO "exposure" VALUES(1,'p001','shuffled',5);
INSERT INTO "exposure" VALUES(1,'p002','baseline',6);
INSERT INTO "exposure" VALUES(1,'p001','lfi',7);
INSERT INTO "exposure" VALUES(1,'p001','baseline',7);
INSERT INTO "exposure" VALUES(2,'p002','lfi',NULL);
CREATE TABLE login (
	id INTEGER NOT NULL, 
	rater_id INTEGER NOT NULL, 
	secret_hash TEXT NOT NULL, 
	made_at DATETIME NOT NULL, 
	CONSTRAINT pk_login PRIMARY KEY (id), 
	CONSTRAINT fk_login_rater_id_rater FOREIGN KEY(rater_id) REFERENCES rater (id), 
	CONSTRAINT uq_login_secret_hash UNIQUE (secret_hash)
);
INSERT INTO "login" VALUES(1,1,'342adc3c86023960db45e96eb494453ddb26f944b40700279aa657d755c35f5f','2026-11-24 04:11:21.723754');
INSERT INTO "login" VALUES(2,2,'8e7dcdf0f96d2a12422f8205490f9ee3c7bfdd3cd022594e9acd71fa0d189551','2026-11-24 04:11:21.872605');
CREATE TABLE "plan" (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	content TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	made_at DATETIME NOT NULL, 
	answers INTEGER NOT NULL, 
	CONSTRAINT pk_plan PRIMARY KEY (id), 
	CONSTRAINT fk_plan_study_id_study FOREIGN KEY(study_id) REFERENCES study (id), 
	CONSTRAINT uq_plan_study_id_version UNIQUE (study_id, version)
);
INSERT INTO "plan" VALUES(1,1,1,'{"analysis":{"claim":2.7,"confidence":0.95,"denominator":"baseline","draws":10000,"max_failed_catch":0,"min_answers":0,"min_response_ms":300,"notes":"","numerator":"lfi","secondary":["mixed model","Wilcoxon","pairs","agreement","response times"],"seed":0},"catch":[{"box":[0.7,0.7,1.0,1.0],"expected":[1,2],"feedback":{},"image":"p1.png","shown":{},"word":"blue star"}],"completion":{"code":"C0DE-42","redirect":"https://app.prolific.com/submissions/complete?cc=C0DE"},"conditions":["teacher","lfi","baseline","shuffled"],"items":[{"image":"p0.png","shown":{"de":"Wort 0"},"word":"red circle"},{"image":"p1.png","shown":{"de":"Wort 1"},"word":"blue star"},{"image":"p2.png","shown":{"de":"Wort 2"},"word":"green ring"}],"languages":["en","de"],"name":"pilot","pair":{"contrasts":[["lfi","baseline"]],"overlap":1,"trials":1},"pictures":{"p0.png":"40365130a4eaaeba1e46b88b27296e1062a8f2148db1f4a501bbdcf9738202c2","p1.png":"db75d6b85d9870ed4973fc93ec85dfc0f8289ee956604c02ee484440090e3749","p2.png":"b57ef55c805b9eada3e1615700e18650e79e2bfaa2bc110072f4fe4aad51e963"},"practice":[{"box":[0.1,0.1,0.5,0.5],"expected":[4,5],"feedback":{"de":"Der Kreis ist hervorgehoben.","en":"The **circle** is highlighted."},"image":"p0.png","shown":{"de":"roter Kreis"},"word":"red circle"}],"rating":{"overlap":1,"scale":5,"trials":4},"rules":{"lease_minutes":10.0,"prolific":true,"prolific_study":"P1"},"seed":0,"side":96,"texts":{"de":{"consent":"Wir **speichern** Ihre Antworten.","instructions":"Sehen Sie das Bild an.","thanks":"Das hat geholfen.","title":"Karten und Wörter"},"en":{"consent":"We **store** your answers. <script>alert(1)</script>","instructions":"Look at the picture.","thanks":"That helped.","title":"Maps and words"}},"trio":"tiny"}','46589bdf4af301a81f578fea25b7b579e23adff9aa0c9102bff47d722d5f9529','2026-11-24 04:11:21.685520',0);
CREATE TABLE rater (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	code TEXT NOT NULL, 
	token_hash TEXT, 
	prolific_pid TEXT, 
	prolific_session TEXT, 
	language TEXT NOT NULL, 
	preview BOOLEAN NOT NULL, 
	"row" INTEGER, 
	status TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	consented_at DATETIME, 
	began_at DATETIME, 
	finished_at DATETIME, 
	lease_until DATETIME, 
	excluded_reason TEXT NOT NULL, parameters TEXT DEFAULT '{}' NOT NULL, check_failures INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_rater PRIMARY KEY (id), 
	CONSTRAINT ck_rater_reason CHECK ((status = 'excluded') = (excluded_reason <> '')), 
	CONSTRAINT ck_rater_status CHECK (status IN ('invited', 'consented', 'active', 'finished', 'excluded')), 
	CONSTRAINT fk_rater_study_id_study FOREIGN KEY(study_id) REFERENCES study (id), 
	CONSTRAINT uq_rater_code UNIQUE (code), 
	CONSTRAINT uq_rater_study_id_prolific_pid UNIQUE (study_id, prolific_pid), 
	CONSTRAINT uq_rater_token_hash UNIQUE (token_hash)
);
INSERT INTO "rater" VALUES(1,1,'r3edec6e972','2a5a1743aec842683910f4114c694b477ed6d05902ec8e3109e7e6832a6596ce',NULL,NULL,'en',0,0,'finished','2026-11-24 04:11:21.713051','2026-11-24 04:11:21.747183','2026-11-24 04:11:21.750337','2026-11-24 04:11:21.855163',NULL,'','{}',0);
INSERT INTO "rater" VALUES(2,1,'rf2a8194899','cadf7e23a97c447f638b9f92b2b4ce51b1127896414b8ee9648d6bf894b84655',NULL,NULL,'en',0,1,'excluded','2026-11-24 04:11:21.870990','2026-11-24 04:11:21.881244','2026-11-24 04:11:21.887455',NULL,NULL,'too fast','{}',0);
CREATE TABLE stimulus (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	image TEXT NOT NULL, 
	item TEXT NOT NULL, 
	condition TEXT NOT NULL, 
	file TEXT NOT NULL, 
	CONSTRAINT pk_stimulus PRIMARY KEY (id), 
	CONSTRAINT fk_stimulus_study_id_study FOREIGN KEY(study_id) REFERENCES study (id), 
	CONSTRAINT uq_stimulus_file UNIQUE (file), 
	CONSTRAINT uq_stimulus_study_id_image_item_condition UNIQUE (study_id, image, item, condition)
);
INSERT INTO "stimulus" VALUES(1,1,'p001','','bare','41729fcf51f0c1be8beef14377f31a96');
INSERT INTO "stimulus" VALUES(2,1,'p002','','bare','25350bb482aa62e6522f452dda3e3997');
INSERT INTO "stimulus" VALUES(3,1,'p003','','bare','ee88e3f87843f99dd99bf38ca1c6a564');
INSERT INTO "stimulus" VALUES(4,1,'p001','i001','teacher','b058a64cd326bdaf2c803fc3edd2b5cd');
INSERT INTO "stimulus" VALUES(5,1,'p001','i001','lfi','ac25c548d7d2d6340b1be0e3fa4ebd80');
INSERT INTO "stimulus" VALUES(6,1,'p001','i001','baseline','4e37d8f7dc78556718725cedc63983b1');
INSERT INTO "stimulus" VALUES(7,1,'p001','i001','shuffled','7d286f68053f9a64aeae1b7148ba2dd8');
INSERT INTO "stimulus" VALUES(8,1,'p002','i002','teacher','e7b23c947b8015fdb4de79b378b9ac85');
INSERT INTO "stimulus" VALUES(9,1,'p002','i002','lfi','eefa8ab582e271450b5883b68bf3cafc');
INSERT INTO "stimulus" VALUES(10,1,'p002','i002','baseline','8d8ff8c40dc69635680735d93d4d1085');
INSERT INTO "stimulus" VALUES(11,1,'p002','i002','shuffled','26b8262f66c0ab64c2693b8d7eb2ae3e');
INSERT INTO "stimulus" VALUES(12,1,'p003','i003','teacher','0265a8c25981a51bc6a837f23b2e7da9');
INSERT INTO "stimulus" VALUES(13,1,'p003','i003','lfi','42995bbc175b2f416762462bc50da47e');
INSERT INTO "stimulus" VALUES(14,1,'p003','i003','baseline','6f5a8c8764deeb7c5ea0f791c74f5716');
INSERT INTO "stimulus" VALUES(15,1,'p003','i003','shuffled','8c04aefc7a81ee7806fc82766b211840');
INSERT INTO "stimulus" VALUES(16,1,'p001','practice01','drawn','df761ac2969739eb7af5f7d88ac429d4');
INSERT INTO "stimulus" VALUES(17,1,'p002','catch01','drawn','4abfccc5c58b80cd8fcb6696b4cbe059');
CREATE TABLE study (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	status TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	opened_at DATETIME, 
	closed_at DATETIME, 
	opened_hash TEXT, entry_hash TEXT, 
	CONSTRAINT pk_study PRIMARY KEY (id), 
	CONSTRAINT ck_study_status CHECK (status IN ('draft', 'open', 'paused', 'closed')), 
	CONSTRAINT uq_study_name UNIQUE (name)
);
INSERT INTO "study" VALUES(1,'pilot','open','2026-11-24 04:11:21.680777','2026-11-24 04:11:21.692457',NULL,'46589bdf4af301a81f578fea25b7b579e23adff9aa0c9102bff47d722d5f9529',NULL);
CREATE INDEX ix_audit_study_id ON audit (study_id);
CREATE INDEX ix_rater_study_id_lease_until ON rater (study_id, lease_until);
CREATE INDEX ix_login_rater_id ON login (rater_id);
CREATE INDEX ix_exposure_assignment_id ON exposure (assignment_id);
CREATE TRIGGER answer_append_only BEFORE UPDATE ON answer BEGIN SELECT RAISE(ABORT, 'answers are never changed'); END;
CREATE TRIGGER answer_in_order BEFORE INSERT ON answer WHEN NEW.revision > (SELECT count(*) FROM answer WHERE assignment_id = NEW.assignment_id) BEGIN SELECT RAISE(ABORT, 'revisions of a trial are numbered from 0 without a gap'); END;
CREATE VIEW current_answer AS SELECT answer.* FROM answer WHERE revision = (SELECT max(later.revision) FROM answer AS later WHERE later.assignment_id = answer.assignment_id);
COMMIT;
