-- Stands in for modules that Debian has no package of and no test uses, but that ingress-nginx loads.
return {
  new = function()
    return {}
  end,
}
