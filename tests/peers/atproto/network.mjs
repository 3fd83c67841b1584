// Runs the AT Protocol network until it is told to stop: PLC directory and PDS, and unless PDS_ONLY is set, AppView and
// Ozone too. Creates the tests' accounts, then writes NAME=value lines to READY_FILE: the sign that all is up.
//
// Environment: DEV_ENV (the module, which lies elsewhere than this file), PORTS (PLC PDS AppView Ozone, blank between), READY_FILE, PDS_ONLY, RATE_LIMITS; for the whole network
// DB_POSTGRES_URL and REDIS_HOST as well. Servers listen on 127.0.0.1 only.
import dns from 'node:dns'
import fs from 'node:fs'
import net from 'node:net'

// dev-env listens on every address and offers no setting; only the host that it leaves out is filled in here.
dns.setDefaultResultOrder('ipv4first')
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === 'number' && typeof rest[0] !== 'string') return listen.call(this, first, '127.0.0.1', ...rest.filter((argument) => argument !== undefined))
  if (first !== null && typeof first === 'object' && first.port !== undefined && !first.host) return listen.call(this, { ...first, host: '127.0.0.1' }, ...rest)
  return listen.call(this, first, ...rest)
}

const { TestNetwork, TestNetworkNoAppView } = await import(process.env.DEV_ENV)

const started = Date.now()
const [plcPort, pdsPort, appviewPort, ozonePort] = process.env.PORTS.split(' ').map(Number)
const plc = { port: plcPort }
const pds = { port: pdsPort, hostname: 'localhost', enableDidDocWithSession: true, rateLimitsEnabled: Boolean(process.env.RATE_LIMITS) }
const network = process.env.PDS_ONLY
  ? await TestNetworkNoAppView.create({ plc, pds })
  : await TestNetwork.create({
      plc,
      pds,
      bsky: { port: appviewPort, publicUrl: `http://localhost:${appviewPort}`, dbPostgresSchema: 'vigie' },
      ozone: { port: ozonePort, dbMaterializedViewRefreshIntervalMs: 2000 },
    })

const lines = { ATPROTO_PDS_URL: network.pds.url, ATPROTO_PLC_URL: network.plc.url, ATPROTO_PASSWORD: 'hunter2' }
for (const name of ['ministere', 'citoyen', 'troll', 'mod']) {
  const agent = network.pds.getAgent()
  await agent.createAccount({ email: `${name}@test.com`, handle: `${name}.test`, password: 'hunter2' })
  lines[`ATPROTO_DID_${name.toUpperCase()}`] = agent.session.did
}
if (network.ozone) {
  await network.ozone.addModeratorDid(lines.ATPROTO_DID_MOD)
  // The AppView and Ozone have seen the accounts when this returns.
  await network.processAll()
  lines.ATPROTO_APPVIEW_URL = network.bsky.url
  lines.ATPROTO_APPVIEW_DID = network.bsky.ctx.cfg.serverDid
  lines.ATPROTO_OZONE_URL = network.ozone.url
  lines.ATPROTO_OZONE_DID = network.ozone.ctx.cfg.service.did
}

const text = Object.entries(lines).map(([name, value]) => `${name}=${value}\n`).join('')
fs.writeFileSync(`${process.env.READY_FILE}.part`, text)
fs.renameSync(`${process.env.READY_FILE}.part`, process.env.READY_FILE)
console.log(`ready after ${Date.now() - started} ms, ${Math.round(process.memoryUsage().rss / 1e6)} MB`)

const stop = () => process.exit(0) // all that it holds is thrown away, there is nothing to close in order
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
