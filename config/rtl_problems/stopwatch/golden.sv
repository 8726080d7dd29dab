module stopwatch (
  input  logic        clk,
  input  logic        rst,
  input  logic        tick,
  input  logic        start_stop,
  input  logic        lap,
  output logic [15:0] display,
  output logic        running
);
  logic [15:0] clock, later, shown;
  logic        frozen;

  // the time one second later
  always_comb begin
    later = clock;
    if (clock[3:0] == 4'd9) begin
      later[3:0] = 4'd0;
      if (clock[7:4] == 4'd5) begin
        later[7:4] = 4'd0;
        if (clock[11:8] == 4'd9) begin
          later[11:8] = 4'd0;
          later[15:12] = clock[15:12] == 4'd5 ? 4'd0 : clock[15:12] + 4'd1;
        end else begin
          later[11:8] = clock[11:8] + 4'd1;
        end
      end else begin
        later[7:4] = clock[7:4] + 4'd1;
      end
    end else begin
      later[3:0] = clock[3:0] + 4'd1;
    end
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      clock   <= 16'd0;
      shown   <= 16'd0;
      frozen  <= 1'b0;
      running <= 1'b0;
    end else begin
      if (tick && running) clock <= later;
      if (start_stop) running <= !running;
      if (lap) begin
        frozen <= !frozen;
        if (!frozen) shown <= clock;
      end
    end
  end

  assign display = frozen ? shown : clock;
endmodule
