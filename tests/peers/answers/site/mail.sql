create table domains(domain text, type text, enabled int, avscan int, maxmsgsize int);
insert into domains values('example.com','local',1,1,10), ('example.net','local',1,0,0), ('relay.example','relay',1,0,0),
  ('off.example','local',0,0,0);
create table users(localpart text, domain text, type text, smtp text, quota int, on_vacation int, vacation text, forward text, uid int,
  gid int, sa int, enabled int, crypt text);
insert into users values('bob','example.com','local','/home/vmail/example.com/bob',10,1,'away','',1000,1000,5,1,'x'),
  ('fwd','example.com','alias','dave@example.org,eve@example.org',0,0,'','',0,0,0,1,''),
  ('bl','example.com','fail','',0,0,'','',0,0,0,1,''), ('*','example.net','catch','bob@example.com',0,0,'','',0,0,0,1,''),
  ('off','example.com','local','/x',0,0,'','',1,1,1,0,''),
  ('pipe','example.com','piped','|/bin/prog arg ${local_part}',0,0,'','',0,0,0,1,'');
create table grey(host text, sender text, rcpt text, t int);
create table bl(domain text, blocktype text, blockhdr text, blockval text, color text);
insert into bl values('example.com','x','from','bad@example.org','black');
