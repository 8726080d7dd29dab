module sync_fifo (
  input  logic       clk,
  input  logic       rst_n,
  input  logic       write,
  input  logic [7:0] write_data,
  input  logic       read,
  output logic [7:0] read_data,
  output logic       empty,
  output logic       full,
  output logic [3:0] level,
  output logic       overflow,
  output logic       underflow
);
  logic [7:0] words[0:7];
  logic [2:0] first, last;
  logic       put, take;

  assign empty     = level == 4'd0;
  assign full      = level == 4'd8;
  assign put       = write && !full;
  assign take      = read && !empty;
  assign read_data = words[first];

  always_ff @(posedge clk) begin
    if (put) words[last] <= write_data;
  end

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      first     <= 3'd0;
      last      <= 3'd0;
      level     <= 4'd0;
      overflow  <= 1'b0;
      underflow <= 1'b0;
    end else begin
      if (put) last <= last + 3'd1;
      if (take) first <= first + 3'd1;
      level <= level + {3'd0, put} - {3'd0, take};
      if (write && full) overflow <= 1'b1;
      if (read && empty) underflow <= 1'b1;
    end
  end
endmodule
