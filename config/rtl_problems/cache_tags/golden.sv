module cache_tags (
  input  logic        clk,
  input  logic        rst,
  input  logic        access,
  input  logic        write,
  input  logic        fill,
  input  logic        flush,
  input  logic [15:0] address,
  output logic        hit,
  output logic        victim_dirty,
  output logic [15:0] victim_address
);
  logic [8:0] tags[0:7];
  logic [7:0] valid, dirty;
  logic [8:0] tag;
  logic [2:0] line;
  logic       unused;

  assign tag    = address[15:7];
  assign line   = address[6:4];
  assign unused = ^address[3:0];

  assign hit            = valid[line] && tags[line] == tag;
  assign victim_dirty   = valid[line] && dirty[line] && tags[line] != tag;
  assign victim_address = victim_dirty ? {tags[line], line, 4'd0} : 16'd0;

  always_ff @(posedge clk) begin
    if (rst) begin
      valid <= 8'd0;
      dirty <= 8'd0;
    end else if (fill) begin
      valid[line] <= 1'b1;
      dirty[line] <= write;  // filled
      tags[line]  <= tag;
    end else if (access && write && hit) begin
      dirty[line] <= 1'b1;
    end else if (flush && hit) begin
      valid[line] <= 1'b0;
      dirty[line] <= 1'b0;
    end
  end
endmodule
