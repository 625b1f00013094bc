-- Stands in for resty.roundrobin, of which Debian has no package: each node in turn, from a random one on.
local Round = {}
Round.__index = Round

function Round:new(nodes)
  local round = setmetatable({}, self)
  round:reinit(nodes)
  return round
end

function Round:reinit(nodes)
  self.nodes, self.addresses = nodes, {}
  for address in pairs(nodes) do
    table.insert(self.addresses, address)
  end
  self.last = math.random(#self.addresses)
end

function Round:find()
  self.last = self.last % #self.addresses + 1
  return self.addresses[self.last]
end

return Round
